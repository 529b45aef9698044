"""A source's branch of the tree: who wants it, its feed, and its task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from functools import partial

import trio

from mcptrio.live import Feed, Selector, SourceState
from mcptrio.sources.body import run_body, said
from mcptrio.sources.demand import Demand, Stage
from mcptrio.sources.description import PartDescription
from mcptrio.sources.spec import SourceSpec
from mcptrio.supervision import Backoff, ChildSpec, Event, Report, Restart, Supervisor

BACKOFF = Backoff(initial=0.2, maximum=30.0)
INTENSITY = 1000
"""Restarts in one second that are too many: sources come back for ever, paced by their backoff, and take nobody with
them; only a supervisor that restarts without pause gives up."""

UNWANTED = "nobody wants it"
STOPPED = "it was stopped"
FULL = "it waits for its turn: as many tasks of this source run as may (`most`)"


class Branch(ABC):
    """One source while the program runs: what wants it becomes tasks in a supervisor, what becomes of those a state.

    A part is what has a task of its own; its name is the one of the supervisor's child. Everything here is
    synchronous. Wants that come while the supervisor does not run are kept.
    """

    def __init__(
        self, spec: SourceSpec, feed: Feed, supervisor: Supervisor, wake_at: Callable[[float], None]
    ) -> None:
        """`wake_at` is called with the time at which `settle` is to be called at the latest."""
        self.spec = spec
        self.feed = feed
        """How the source as a whole is doing."""
        self.restarts = 0
        self.last_error = ""
        self._supervisor = supervisor
        self._wake_at = wake_at
        self._demand = Demand(spec.linger, spec.most_tasks)

    # Who wants it.

    def fits(self, uri: str) -> bool:
        """Whether the source may report this URI."""
        return self.spec.values(uri) is not None

    def could_report(self, selector: Selector) -> bool:
        """Whether the source may report what is selected; of a pattern, as far as its beginning tells."""
        if selector.is_exact:
            return self.fits(selector.pattern)
        return self.spec.could_begin(selector.beginning)

    @abstractmethod
    def want(self, uri: str) -> None:
        """Somebody more wants a URI that fits."""

    @abstractmethod
    def unwant(self, uri: str) -> None:
        """Takes back one `want`."""

    @abstractmethod
    def want_list(self) -> None:
        """Somebody more wants to know which resources there are."""

    @abstractmethod
    def unwant_list(self) -> None:
        """Takes back one `want_list`."""

    @abstractmethod
    def feed_of(self, uri: str) -> Feed | None:
        """The feed that tells how what watches this URI is doing; None where nothing ever did."""

    def stamp(self) -> tuple[object, ...]:
        """Something that is different when what can be told of the source is; small, however many parts it has."""
        feed = self.feed
        return feed.since_at, feed.reason, feed.wanted_count, self.restarts, self.last_error

    @abstractmethod
    def parts(self, most: int) -> tuple[PartDescription, ...]:
        """The tasks for single URIs that are wanted or run."""

    def _want(self, part: str) -> None:
        if self._demand.want(part):
            self._start(part)
        elif self._demand.is_about_to_start(part):
            self._feed(part).starting()
            self._wake_at(self._demand.next_due())
        elif self._demand.is_open and self._demand.stage(part) is Stage.WAITING:
            self._feed(part).degraded(FULL)

    def _unwant(self, part: str) -> None:
        if self._demand.wants(part) > 1:
            # Nothing changes but the number; and a client may leave with thousands at once.
            self._demand.unwant(part, 0.0)
            return
        # Only what runs lingers, and nothing does outside of a run.
        now = trio.current_time() if trio.lowlevel.in_trio_run() else 0.0
        self._demand.unwant(part, now)
        if self._demand.stage(part) is None:
            self._dropped(part)
        self._wake_at(self._demand.next_due())

    # Tasks.

    @abstractmethod
    def _feed(self, part: str) -> Feed:
        """The feed of a part that is wanted or runs."""

    @abstractmethod
    def _body(self, part: str) -> Callable[[], Awaitable[None]]:
        """What the part's task runs."""

    def _start(self, part: str) -> None:
        spec = ChildSpec(part, self._body(part), Restart.TRANSIENT, backoff=BACKOFF)
        feed = self._feed(part)
        try:
            self._supervisor.start_child_nowait(spec)
        except RuntimeError:
            # It has begun to stop. What is wanted is started when it runs again.
            self._demand.closed()
            feed.idle(STOPPED)
        else:
            feed.starting()

    def settle(self, now: float) -> None:
        """Have tasks stop whose linger is over."""
        for part in self._demand.due(now):
            self._feed(part).idle(UNWANTED)
            self._supervisor.stop_child_nowait(part)

    def _admit(self) -> None:
        for part in self._demand.admitted():
            self._start(part)

    def next_due(self) -> float:
        """When `settle` will have something to do."""
        return self._demand.next_due()

    def opened(self) -> None:
        """The supervisor runs: start what is wanted."""
        for part in self._demand.opened():
            self._start(part)
        if self._demand.is_open:
            for part in self._demand.waiting():
                self._feed(part).degraded(FULL)

    def closed(self) -> None:
        """The supervisor has ended, and all tasks with it. Idempotent."""
        parts = tuple(self._demand)
        for part in self._demand.waiting():
            if self._feed(part).reason == FULL:
                self._feed(part).idle(STOPPED)
        self._demand.closed()
        for part in parts:
            if self._demand.stage(part) is None:
                self._dropped(part)

    def reported(self, report: Report) -> None:
        """Take in what the supervisor says of a part."""
        part = report.child
        match report.event:
            case Event.STARTED:
                self._demand.restarted(part)
            case Event.EXITED if report.error is None:
                self._demand.returned(part)
            case Event.EXITED:
                self._failed(self._feed(part), report.error)
            case Event.RESTARTING:
                self.restarts += 1
            case Event.STOPPED:
                self._stopped(part)
        if self._demand.stage(part) is None:
            self._dropped(part)
        self._admit()

    def _failed(self, feed: Feed, error: BaseException | None) -> None:
        assert error is not None
        self.last_error = said(error)
        if feed.state is not SourceState.FAILED:  # ended from outside, so that its body could not say so
            feed.failed(self.last_error)

    def _stopped(self, part: str) -> None:
        feed = self._feed(part)
        asked = self._demand.stage(part) is Stage.STOPPING
        again = self._demand.stopped(part)
        if asked:
            self._forget_child(part)
        if again:
            self._start(part)
        else:
            feed.idle(UNWANTED if asked else STOPPED)

    def _dropped(self, part: str) -> None:
        """Nobody wants the part any more, and it has no task. Idempotent."""
        self._forget_child(part)

    def _forget_child(self, part: str) -> None:
        try:
            self._supervisor.delete_child(part)
        except (LookupError, RuntimeError):
            pass  # it never had a task; or the supervisor is ending, which forgets all children by itself


class Whole(Branch):
    """A source with one task for all its URIs, named after it."""

    def __init__(
        self, spec: SourceSpec, feed: Feed, supervisor: Supervisor, wake_at: Callable[[float], None]
    ) -> None:
        super().__init__(spec, feed, supervisor, wake_at)
        if spec.always:
            self._demand.want(spec.name)

    def want(self, uri: str) -> None:
        self.feed.want(uri)
        self._want(self.spec.name)

    def unwant(self, uri: str) -> None:
        self.feed.unwant(uri)
        self._unwant(self.spec.name)

    def want_list(self) -> None:
        self._want(self.spec.name)

    def unwant_list(self) -> None:
        self._unwant(self.spec.name)

    def feed_of(self, uri: str) -> Feed:
        return self.feed

    def parts(self, most: int) -> tuple[PartDescription, ...]:
        return ()

    def _feed(self, part: str) -> Feed:
        return self.feed

    def _body(self, part: str) -> Callable[[], Awaitable[None]]:
        return partial(run_body, self.spec.run, self.feed, {})
