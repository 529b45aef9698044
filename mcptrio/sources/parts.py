"""A source with a task for each URI that is wanted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import islice

from mcptrio.live import Feed, SourceState
from mcptrio.sources.body import run_body, said
from mcptrio.sources.branch import BACKOFF, FULL, INTENSITY, UNWANTED, Branch
from mcptrio.sources.description import PartDescription
from mcptrio.sources.followed import Followed
from mcptrio.sources.spec import SourceSpec
from mcptrio.supervision import ChildSpec, Report, Strategy, Supervisor

KEPT = 10_000
"""Parts of one source whose state and checkpoint are kept while nobody wants them."""

_RESTARTS = 10
"""Restarts of each part in one second that are not too many: all of them may fail of one cause, and their backoff allows
about four."""

_WORST_FIRST = (
    SourceState.FAILED,
    SourceState.DEGRADED,
    SourceState.STARTING,
    SourceState.POLLING,
    SourceState.LIVE,
    SourceState.IDLE,
)


class Parts(Branch):
    """A source with a supervised task for each wanted URI, called a part, in a supervisor of the source's own.

    Each part has a feed of its own, with its own state and checkpoint; the source's is the worst of the wanted
    parts'. The feeds of parts that nobody wants any more are kept, for at most `KEPT` of them: then the
    one that has not been wanted for longest is dropped, and should it come back, it begins anew, without a checkpoint.

    A client decides what is wanted, so what runs is bounded: at most `spec.most_tasks` parts have a task. Those that are
    wanted beyond that are `degraded` and wait their turn; what nobody wants gives its task up for them without lingering.
    """

    def __init__(
        self,
        spec: SourceSpec,
        feed: Feed,
        make_feed: Callable[[Callable[[str, SourceState, str], None]], Feed],
        wake_at: Callable[[float], None],
        on_report: Callable[[Report], None],
    ) -> None:
        def reported(report: Report) -> None:
            on_report(report)
            self.reported(report)

        self.supervisor = Supervisor(
            spec.name,
            strategy=Strategy.SIMPLE_ONE_FOR_ONE,
            max_restarts=INTENSITY + _RESTARTS * spec.most_tasks,
            within=1.0,
            on_report=reported,
        )
        super().__init__(spec, feed, self.supervisor, wake_at)
        self._make_feed = make_feed
        self._feeds: dict[str, Feed] = {}
        self._kept: OrderedDict[str, None] = OrderedDict()
        """Those of the feeds that nobody wants, in the order in which that came about."""
        self._wanted_in: dict[SourceState, OrderedDict[str, None]] = {
            state: OrderedDict() for state in SourceState
        }
        """The wanted parts by state, in the order in which they came into it."""
        self._counted_in: dict[str, SourceState] = {}
        self._changes = 0

    def child_spec(self) -> ChildSpec:
        """The source as a child of the tree: its supervisor."""
        return Followed(self.supervisor, self.opened, self.closed).child_spec(BACKOFF)

    def opened(self) -> None:
        super().opened()
        if self.feed.state is not SourceState.IDLE:  # its supervisor had given up
            self._summarize()

    def reported(self, report: Report) -> None:
        if report.child in self._feeds:  # a part that was dropped is nobody's concern any more
            super().reported(report)

    def escalated(self, error: BaseException) -> None:
        """The supervisor itself has crashed, and is restarted."""
        self.last_error = said(error)
        self.feed.failed(self.last_error)

    def want(self, uri: str) -> None:
        feed = self._feeds.get(uri)
        if feed is None:
            feed = self._feeds[uri] = self._make_feed(partial(self._told, uri))
        self._kept.pop(uri, None)
        feed.want(uri)
        self.feed.want(uri)
        self._want(uri)
        self._count(uri)
        self._summarize()

    def unwant(self, uri: str) -> None:
        feed = self._feeds[uri]
        self.feed.unwant(uri)
        if feed.unwant(uri):
            self._uncount(uri)
        self._unwant(uri)
        self._summarize()

    def want_list(self) -> None:
        """Lists start no parts: which URIs there could be is more than anybody wants."""

    def unwant_list(self) -> None:
        """See `want_list`."""

    def feed_of(self, uri: str) -> Feed | None:
        return self._feeds.get(uri)

    def stamp(self) -> tuple[object, ...]:
        return *super().stamp(), self._changes

    def parts(self, most: int) -> tuple[PartDescription, ...]:
        feeds = ((uri, self._feeds[uri]) for uri in islice(self._demand, most))
        return tuple(PartDescription(uri, feed.state, feed.reason, feed.since_at) for uri, feed in feeds)

    def _feed(self, part: str) -> Feed:
        return self._feeds[part]

    def _body(self, part: str) -> Callable[[], Awaitable[None]]:
        values = self.spec.values(part)
        assert values is not None
        return partial(run_body, self.spec.run, self._feeds[part], values)

    def _dropped(self, part: str) -> None:
        super()._dropped(part)
        self._changes += 1
        self._summarize()
        if part in self._feeds:
            self._kept.setdefault(part)
        while len(self._kept) > KEPT:
            oldest, _ = self._kept.popitem(last=False)
            del self._feeds[oldest]

    # How the source is doing: as the worst of its wanted parts.

    def _told(self, uri: str, name: str, state: SourceState, reason: str) -> None:
        self._changes += 1
        if uri in self._counted_in:
            self._count(uri)
            self._summarize()

    def _count(self, uri: str) -> None:
        state = self._feeds[uri].state
        if self._counted_in.get(uri) is not state:
            self._uncount(uri)
            self._wanted_in[state][uri] = None
            self._counted_in[uri] = state

    def _uncount(self, uri: str) -> None:
        state = self._counted_in.pop(uri, None)
        if state is not None:
            del self._wanted_in[state][uri]

    def _summarize(self) -> None:
        for state in _WORST_FIRST:
            for uri in self._wanted_in[state]:
                reason = self._feeds[uri].reason
                # Those that wait may be thousands, and all of them the first for a moment: that is no news.
                self.feed.tell(state, f"{uri}: {reason}" if reason not in ("", FULL) else reason)
                return
        if not len(self._demand):  # until the last task has lingered it is as it was
            self.feed.idle(UNWANTED)
