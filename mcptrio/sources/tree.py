"""The tree of sources: what somebody wants of them runs, supervised.

sources (one_for_one)
  NAME     a source with one task for all its URIs
  NAME     (simple_one_for_one) a source with a task for each wanted URI
    URI
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from types import MappingProxyType

import trio

from mcptrio.live import Feed, Hub, Pump, Selector, SourceState
from mcptrio.log import get_logger
from mcptrio.sources.branch import BACKOFF, INTENSITY, Branch, Whole
from mcptrio.sources.description import SourceDescription
from mcptrio.sources.followed import Followed
from mcptrio.sources.parts import Parts
from mcptrio.sources.registry import Registry
from mcptrio.sources.spec import SourceSpec
from mcptrio.supervision import ChildSpec, Escalation, Event, Report, Reports, Supervisor

READ_PATIENCE = 5.0
"""Seconds after its start that a source has to say how it is doing before reads and lists go on without it."""

_MOST_PARTS = 1001
"""Parts that are described: one more than are shown anywhere, so that it can be told that there are more."""

_log = get_logger("mcptrio.sources")

StateCallback = Callable[[str, SourceState, str], None]


class SourceTree:
    """Runs a registry's sources, always or by demand, under a supervisor; sources added later too.

    What wants a source: a subscription of the hub to a URI that fits one of its patterns, or by a selector that may
    (those with a task for each URI are not wanted by patterns: what could be is more than anybody wants); a read (`hold`) of such a
    URI, for its duration; and for all but those with a task for each URI, whoever lists resources (`hold_list`) or is
    to be told when the list changes (`want_list`).

    The first who wants it starts it, in the same step; `linger` seconds after the last one has gone it is stopped.
    One that raised is restarted with backoff. One that returned stays idle until all who want it have gone and
    somebody comes. Wants outlive the run: what is wanted when the tree begins to run is started then.
    """

    def __init__(self, registry: Registry, hub: Hub, pump: Pump, reports: Reports) -> None:
        self._hub = hub
        self._pump = pump
        self._reports = reports
        self._on_state: list[StateCallback] = []
        self._branches: dict[str, Branch] = {}
        self._feeds: dict[str, Feed] = {}
        self._subscribed: dict[str, tuple[Branch, ...]] = {}
        """The branches that each subscribed URI fits, where there are any: a client may leave with thousands at once."""
        self._selected: dict[str, tuple[Branch, ...]] = {}
        """The same for what is subscribed by selector, by its pattern."""
        self._combinations: dict[tuple[Branch, ...], tuple[Branch, ...]] = {}
        self._patterns: Counter[Branch] = Counter()
        """How many patterns, which name no URI, may select what a branch reports: together they want it as a list does."""
        self._lists = 0
        self._open = False
        self._alarm = trio.CancelScope()  # the sleep of `_turn`; waking it twice or late does no harm
        self.supervisor = Supervisor("sources", max_restarts=INTENSITY, within=1.0, on_report=self._reported)
        self.feeds: Mapping[str, Feed] = MappingProxyType(self._feeds)
        """By source, in the order in which they were added; of one with a task for each URI, how it is as a whole."""
        registry.watch(self._add)
        hub.watch_interest(self._interest)
        hub.watch_selections(self._selection)

    def _add(self, spec: SourceSpec) -> None:
        feed = self._feeds[spec.name] = self._pump.feed(spec.name, self._told)
        branch: Branch
        if spec.each:
            make_feed = partial(self._pump.feed, spec.name)
            branch = Parts(spec, feed, make_feed, self._wake_at, self._reports.publish)
        else:
            branch = Whole(spec, feed, self.supervisor, self._wake_at)
        self._branches[spec.name] = branch
        for uri in self._hub.subscriptions():
            if branch.fits(uri):
                self._subscribed[uri] = (*self._subscribed.get(uri, ()), branch)
                branch.want(uri)
        for selector, _ in self._hub.selections.wanted():
            if branch.could_report(selector):
                self._want_selection(selector, branch)
        if self._lists:
            branch.want_list()
        if self._open:
            self._open_branch(branch)

    # Who wants what.

    def _interest(self, uri: str, wanted: bool) -> None:
        try:
            if wanted:
                branches = self._fitting(uri)
                if branches:
                    self._subscribed[uri] = branches
                for branch in branches:
                    branch.want(uri)
            else:
                for branch in self._subscribed.pop(uri, ()):
                    branch.unwant(uri)
        except Exception:
            # A fault in here must not keep anybody from subscribing, or from leaving.
            _log.exception("the sources' demand went wrong")

    def _selection(self, selectors: Sequence[Selector], wanted: bool) -> None:
        for selector in selectors:
            try:
                if wanted:
                    for branch in self._branches.values():
                        if branch.could_report(selector):
                            self._want_selection(selector, branch)
                else:
                    for branch in self._selected.pop(selector.pattern, ()):
                        self._unwant_selection(selector, branch)
            except Exception:
                # As for a single URI, and for all the others.
                _log.exception("the sources' demand went wrong")

    def _want_selection(self, selector: Selector, branch: Branch) -> None:
        branches = (*self._selected.get(selector.pattern, ()), branch)
        # Equal ones are one: there may be very many patterns, and never many combinations.
        self._selected[selector.pattern] = self._combinations.setdefault(branches, branches)
        if selector.is_exact:
            branch.want(selector.pattern)
            return
        self._patterns[branch] += 1
        if self._patterns[branch] == 1:
            branch.want_list()

    def _unwant_selection(self, selector: Selector, branch: Branch) -> None:
        if selector.is_exact:
            branch.unwant(selector.pattern)
            return
        self._patterns[branch] -= 1
        if not self._patterns[branch]:
            del self._patterns[branch]
            branch.unwant_list()

    def _fitting(self, uri: str) -> tuple[Branch, ...]:
        return tuple(branch for branch in self._branches.values() if branch.fits(uri))

    @asynccontextmanager
    async def hold(self, uri: str) -> AsyncIterator[None]:
        """Want what reports this URI inside this block, which begins when that has said how it is doing.

        It waits for sources that are `starting` only, and for each at most until `READ_PATIENCE` after its start; a
        checkpoint in any case. If cancelled, nothing is wanted any more.
        """
        branches = self._fitting(uri)
        for branch in branches:
            branch.want(uri)
        try:
            await _first_states(branch.feed_of(uri) for branch in branches)
            yield
        finally:
            for branch in branches:
                branch.unwant(uri)

    @asynccontextmanager
    async def hold_list(self) -> AsyncIterator[None]:
        """Want what can change the list of resources inside this block, as `hold`; `READ_PATIENCE` is for all together."""
        release = self.want_list()
        try:
            branches = self._branches.values()
            await _first_states(
                branch.feed for branch in branches if branch.spec.patterns and not branch.spec.each
            )
            yield
        finally:
            release()

    def want_list(self) -> Callable[[], None]:
        """Want what can change the list of resources until the returned function is called, which is idempotent."""
        self._lists += 1
        if self._lists == 1:
            for branch in self._branches.values():
                branch.want_list()
        released = False

        def release() -> None:
            nonlocal released
            if released:
                return
            released = True
            self._lists -= 1
            if not self._lists:
                for branch in self._branches.values():
                    branch.unwant_list()

        return release

    # To be looked at.

    def as_of(self, uri: str) -> datetime | None:
        """How old a read of this URI may be (UTC): when those sources that do not work now last did, the oldest.

        None if all of them work, if none ever did, and for a URI that no source reports.
        """
        feeds = (branch.feed_of(uri) for branch in self._fitting(uri))
        times = [feed.as_of for feed in feeds if feed is not None]
        return min((at for at in times if at is not None), default=None)

    def on_state(self, callback: StateCallback) -> None:
        """Have `callback(source, state, reason)` called when a source's state or its reason changes.

        What it raises is logged and goes no further.
        """
        self._on_state.append(callback)

    def names(self) -> tuple[str, ...]:
        """The sources, in the order in which they were added."""
        return tuple(self._branches)

    def describe(self, name: str) -> SourceDescription | None:
        """How a source is doing, with up to 1,001 of its parts; None for one that there is not."""
        branch = self._branches.get(name)
        if branch is None:
            return None
        feed = branch.feed
        return SourceDescription(
            name=name,
            state=feed.state,
            reason=feed.reason,
            since=feed.since_at,
            demand=not branch.spec.always,
            wanted=feed.wanted_count,
            restarts=branch.restarts,
            last_error=branch.last_error,
            counts=feed.counts,
            parts=branch.parts(_MOST_PARTS),
        )

    def stamp(self, name: str) -> object:
        """Something that is different when `describe` would tell something else; None for a source that there is not."""
        branch = self._branches.get(name)
        return None if branch is None else branch.stamp()

    def _told(self, source: str, state: SourceState, reason: str) -> None:
        log = _log.warning if state in (SourceState.DEGRADED, SourceState.FAILED) else _log.info
        log("source state", source=source, state=state.value, **({"reason": reason} if reason else {}))
        for callback in self._on_state:
            try:
                callback(source, state, reason)
            except Exception:
                # It is the source that has told, or its supervisor: neither must end by who listens.
                _log.exception("somebody who is told of states failed", source=source)

    # Running.

    def child_spec(self) -> ChildSpec:
        """The tree as a child of another supervisor: ready when what is wanted has been started."""
        return replace(self.supervisor.child_spec(backoff=BACKOFF), run=self.run)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the sources that always run, and those that somebody wants, until cancelled.

        Then they are stopped in reverse order. Wants stay, and what is wanted at the next run is started by it.

        Raises:
            Escalation: too many restarts, which only a loop without pause can reach.
        """
        escalation: Escalation | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._turn)
            try:
                await Followed(self.supervisor, self._opened, self._closed).run(task_status=task_status)
            except Escalation as error:
                escalation = error
            nursery.cancel_scope.cancel(reason="the sources have ended")
        if escalation is not None:
            raise escalation

    def _opened(self) -> None:
        self._open = True
        for branch in self._branches.values():
            self._open_branch(branch)

    def _open_branch(self, branch: Branch) -> None:
        if not isinstance(branch, Parts):
            branch.opened()
            return
        try:
            self.supervisor.start_child_nowait(branch.child_spec())
        except RuntimeError:
            pass  # it has begun to stop: the source is started with the others when it runs again

    def _closed(self) -> None:
        self._open = False
        for branch in self._branches.values():
            branch.closed()

    def _reported(self, report: Report) -> None:
        self._reports.publish(report)
        branch = self._branches.get(report.child)
        if isinstance(branch, Parts):
            if report.event is Event.EXITED and report.error is not None:
                branch.escalated(report.error)
        elif branch is not None:
            branch.reported(report)

    # Time.

    def _wake_at(self, at: float) -> None:
        if at < self._alarm.deadline:
            self._alarm.deadline = at

    async def _turn(self) -> None:
        """Stop what nobody wants any more as its time comes."""
        while True:
            due = min((branch.next_due() for branch in self._branches.values()), default=float("inf"))
            with trio.CancelScope(deadline=due) as self._alarm:
                await trio.sleep_forever()
            now = trio.current_time()
            for branch in tuple(self._branches.values()):
                branch.settle(now)


async def _first_states(feeds: Iterable[Feed | None]) -> None:
    """Wait until none of them is `starting`, but for none longer than `READ_PATIENCE` after its start."""
    await trio.lowlevel.checkpoint()
    starting = [feed for feed in feeds if feed is not None and feed.state is SourceState.STARTING]
    if starting:
        with trio.move_on_at(max(feed.since for feed in starting) + READ_PATIENCE):
            for feed in starting:
                await feed.wait_while(SourceState.STARTING)
