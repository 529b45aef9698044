"""What a supervisor keeps of a child: one line of its table."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mcptrio.supervision.child import ChildInfo, ChildSpec, ChildState, Restart
from mcptrio.supervision.report import Down
from mcptrio.timers import Timer


class Body(Protocol):
    """The running part of a child, as far as decisions go."""

    def cancel(self, *, reason: str | None = None) -> None:
        """Have it end. Idempotent."""


class Then(enum.Enum):
    """What becomes of a child when the body that is being ended has ended; the later ones win."""

    RESTART = enum.auto()
    """It is restarted, with those that go down with it. Before it was told to stop: its turn will come."""
    FAIL = enum.auto()
    """It counts as having crashed with the error it was given."""
    STOP = enum.auto()
    """It stays in the table as stopped."""
    FORGET = enum.auto()
    """It leaves the table."""


@dataclass(slots=True, eq=False)
class ChildRecord:
    """A child's state over all its restarts. Owned by its supervisor's machine; nobody else writes here.

    There are thousands of these: what few need is made when it is needed.
    """

    spec: ChildSpec
    state: ChildState
    since: float
    restarts: int = 0
    failures: int = 0  # in a row, for the backoff
    last_error: BaseException | None = None
    body: Body | None = None
    ready_at: float | None = None  # of this body
    timer: Timer[ChildRecord] | None = None
    then: Then | None = None
    given: BaseException | None = None  # what it counts as having crashed with
    on_start: Callable[[BaseException | None], None] | None = None  # told once: ready, or why not
    waiters: list[Callable[[], None]] | None = None  # called when it has ended or overstayed
    monitors: dict[object, Callable[[Down], None]] | None = None
    links: dict[ChildRecord, None] | None = None  # a set, in order

    @property
    def temporary(self) -> bool:
        return self.spec.restart is Restart.TEMPORARY

    def watch(self, key: object, tell: Callable[[Down], None]) -> None:
        """Have `tell` called once with the end of this body."""
        if self.monitors is None:
            self.monitors = {}
        self.monitors[key] = tell

    def unwatch(self, key: object) -> None:
        """Idempotent."""
        if self.monitors is not None:
            self.monitors.pop(key, None)

    def link(self, other: ChildRecord) -> None:
        """Symmetrical and idempotent."""
        for one, peer in ((self, other), (other, self)):
            if one.links is None:
                one.links = {}
            one.links[peer] = None

    def unlink(self, other: ChildRecord) -> None:
        """Symmetrical and idempotent."""
        for one, peer in ((self, other), (other, self)):
            if one.links is not None:
                one.links.pop(peer, None)

    def info(self) -> ChildInfo:
        """What others may see."""
        spec = self.spec
        return ChildInfo(
            spec.name,
            self.state,
            spec.restart,
            self.since,
            self.restarts,
            self.last_error,
            spec.supervisor,
        )
