"""`mcptrio://supervision`: the tree of everything that runs."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

from msgspec import UNSET, UnsetType

from mcptrio.introspection.document import MOST, Document, utc
from mcptrio.introspection.redaction import child_name, error_line
from mcptrio.supervision import ChildInfo, ChildState, Strategy, Supervisor

MOST_TROUBLED = 100
"""Children of a `simple_one_for_one` supervisor that are shown, of those that do not simply run."""


class Supervised(Document, frozen=True, kw_only=True):
    """One task of the tree, or one supervisor with what is under it.

    `state` is one of the words of `ChildState`, reached at `since`; `restarts` are counted since it was added, and
    `last_error` is its type and message. Only a supervisor has a `strategy` and `children`, and only one that is
    `simple_one_for_one` has `counts` by state: of its children, which may be thousands, those that run are not shown.
    """

    name: str
    state: str
    since: datetime | None
    restarts: int
    last_error: str | None
    strategy: str | UnsetType = UNSET
    counts: dict[str, int] | UnsetType = UNSET
    children: list[Supervised] | UnsetType = UNSET
    truncated: bool | UnsetType = UNSET


def supervision_document(root: Supervisor, since: float | None) -> Supervised:
    """The tree under the root, which runs since that Trio time (None: it does not run)."""
    return Supervised(
        name=root.name,
        state=(ChildState.STOPPED if since is None else ChildState.RUNNING).value,
        since=None if since is None else utc(since),
        restarts=0,
        last_error=None,
        **_below(root),
    )


def _child(info: ChildInfo) -> Supervised:
    return Supervised(
        name=child_name(info.name),
        state=info.state.value,
        since=utc(info.since),
        restarts=info.restarts,
        last_error=None if info.last_error is None else error_line(info.last_error),
        **({} if info.supervisor is None else _below(info.supervisor)),
    )


class _Below(TypedDict, total=False):
    strategy: str
    counts: dict[str, int]
    children: list[Supervised]
    truncated: bool


def _below(supervisor: Supervisor) -> _Below:
    if supervisor.strategy is not Strategy.SIMPLE_ONE_FOR_ONE:
        found = supervisor.children()
        return _Below(
            strategy=supervisor.strategy.value,
            children=list(map(_child, found[:MOST])),
            truncated=len(found) > MOST,
        )
    statistics = supervisor.statistics()
    troubled: list[ChildInfo] = []
    if statistics.running < statistics.children:  # else, as a rule, thousands need not be looked at
        troubled = [info for info in supervisor.children() if info.state is not ChildState.RUNNING]
    return _Below(
        strategy=supervisor.strategy.value,
        counts={state.value: getattr(statistics, state.value) for state in ChildState},
        children=list(map(_child, troubled[:MOST_TROUBLED])),
        truncated=len(troubled) > MOST_TROUBLED,
    )
