"""What a client knows by one subscription, judged by a list of all that was published. It knows nothing of queues."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from msgspec.structs import replace

from mcptrio.live import Change, Entry, Gap, Hub, Subscription, Terms, Told
from mcptrio.live.cursor import Cursor
from mcptrio.live.terms import parse_terms

URIS = ("a:1", "a:2", "a:1/x", "b:1", "b:2/x")

SELECTORS: tuple[tuple[dict[str, object], str], ...] = (
    ({"glob": "**"}, ".*"),
    ({"uri": "a:1"}, "a:1"),
    ({"glob": "a:*"}, "a:[^/]*"),
    ({"template": "a:{id}"}, "a:[^/?#]+"),
    ({"uri": "b:2/x"}, "b:2/x"),
    ({"glob": "a:1"}, "a:1"),
    ({"glob": "**/x"}, ".*/x"),
    ({"template": "{+box}/x"}, ".+/x"),
    ({"glob": "?:1"}, "[^/]:1"),
    ({"glob": "c:**"}, "c:.*"),
)
"""Each with what it means; equal meanings are one pattern."""


def _number(change: Change) -> object:
    return change.data["n"] if isinstance(change.data, dict) else None


def _is_small(change: Change) -> bool:
    return isinstance(change.data, dict) and change.data["n"] < 2


FILTERS: tuple[tuple[dict[str, object] | None, Callable[[Change], bool]], ...] = (
    (None, lambda change: True),
    ({"kind": "created"}, lambda change: change.kind == "created"),
    ({"eq": {"/n": 1}}, lambda change: _number(change) == 1),
    ({"in": {"/n": [1.0]}}, lambda change: _number(change) == 1),
    ({"not": {"eq": {"/n": 1}}}, lambda change: _number(change) != 1),
    (
        {"and": [{"kind": ["created", "updated"]}, {"lt": {"/n": 2}}]},
        lambda change: change.kind in ("created", "updated") and _is_small(change),
    ),
)
WINDOW, MAX_WAIT = 0.2, 1.0
POLICIES: tuple[object, ...] = (
    "conflate",
    "every",
    {"batch": {"windowMs": int(WINDOW * 1000), "maxWaitMs": int(MAX_WAIT * 1000)}},
)
FIELDS: tuple[object, ...] = ("none", "all", ["/n"])


@cache
def _selects(selector: int, uri: str) -> bool:
    return re.fullmatch(SELECTORS[selector][1], uri) is not None


@dataclass(frozen=True)
class Asked:
    """A subscription, as numbers into the lists above, whose first are the widest."""

    label: str
    selector: int
    filter: int
    policy: int
    fields: int

    @property
    def merges(self) -> bool:
        return POLICIES[self.policy] != "every"

    @property
    def is_batch(self) -> bool:
        return isinstance(POLICIES[self.policy], dict)

    def wants(self, change: Change) -> bool:
        return _selects(self.selector, change.uri) and FILTERS[self.filter][1](change)

    def terms(self, since: Cursor | None) -> Terms:
        """As a client sends them, perhaps with a cursor."""
        return replace(terms_of(self), since=since)


@cache
def terms_of(asked: Asked) -> Terms:
    """What a client would send for it."""
    given: dict[str, object] = {"label": asked.label, **SELECTORS[asked.selector][0]}
    given |= {"policy": POLICIES[asked.policy], "fields": FIELDS[asked.fields]}
    if FILTERS[asked.filter][0] is not None:
        given["filter"] = FILTERS[asked.filter][0]
    return parse_terms(given, "terms")


@dataclass
class Published:
    """All changes of one life of the hub, and when each was published."""

    entries: list[Entry] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    can_forget: bool = True
    can_exceed: bool = True
    """Whether history and allowances are small."""
    begins: int = 0
    """What came before is not in history, however large that is."""

    def between(self, after: int, end: int) -> list[Entry]:
        """What came after one offset, up to another."""
        return self.entries[after:end]


class Knowledge:
    """One subscription from its acknowledgement on.

    The criterion of each policy is local: whenever something is told, all that was left out before it is nothing that the client
    needs, by what has been published so far. Whatever is left out by `every`, or is the last of its URI, lies in a gap.
    """

    def __init__(self, asked: Asked, since: Cursor | None, hub: Hub, published: Published) -> None:
        self.asked = asked
        self.published = published
        self.hub = hub
        self.subscription: Subscription | None = None
        self.since = since
        self.last = 0
        self.has_heard = False
        self.owed: tuple[int, str] | None = None
        """A gap must come next that reaches so far, and its reason, if only one will do."""
        self.live_since = 0.0
        self.newest: dict[str, int] = {}
        self._looked = 0
        uris = sum(_selects(asked.selector, uri) for uri in URIS)
        self.most_waiting = 2 * uris if asked.merges else math.inf
        """How many may wait for it, whatever happens: two of each URI."""

    def acknowledged(self, said: dict[str, object], subscription: Subscription | None) -> None:
        assert subscription is not None
        self.subscription = subscription
        cursor = Cursor.parse(str(said["cursor"]))
        now = Cursor(self.hub.epoch, self.hub.offset)
        self.epoch, self.last = cursor.epoch, cursor.offset
        if self.since is None:
            assert "recovered" not in said
            assert cursor == now
        elif self.since.epoch != self.hub.epoch:
            assert (cursor, said["recovered"]) == (now, False)
            self.owed = now.offset, "restarted"
        else:
            assert cursor == self.since
            if said["recovered"] is False:
                assert self.published.can_forget or cursor.offset < self.published.begins
                assert self.hub.selections.history.floor > cursor.offset
                self.owed = cursor.offset + 1, "history"
            else:
                assert said["recovered"] is True
        self._looked = self.last

    @property
    def cursor(self) -> Cursor:
        """Where it would go on, if it came back now."""
        return Cursor(self.epoch, self.last)

    def reminded(self) -> None:
        """Something may have been lost on the way: of what was told, not of what waits."""
        if self.owed is None and self.has_heard:
            self.owed = self.last, ""

    def restarted(self, published: Published) -> None:
        """The numbers have begun anew."""
        self.published = published
        self.owed = 0, "restarted"
        self.newest = {}
        self._looked = 0

    def told(self, what: Told | Gap) -> None:
        assert what.prev == self.last, "the chain has a hole"
        if isinstance(what, Gap):
            self._told_gap(what)
        else:
            self._told_change(what.entry)
        self.has_heard = True

    def _told_gap(self, gap: Gap) -> None:
        assert gap.offset <= self.hub.offset
        if self.owed is not None:
            least, reason = self.owed
            assert gap.offset >= least
            assert gap.reason == (reason or gap.reason)
            self.owed = None
            if not reason and gap.offset > gap.prev:
                assert (
                    self.published.can_exceed or self.published.can_forget or gap.prev < self.published.begins
                )
        else:
            assert gap.offset > gap.prev, "nothing is missing"
            if gap.reason == "pending":
                assert self.published.can_exceed
                assert any(
                    self.asked.wants(entry.change) for entry in self.published.between(gap.prev, gap.offset)
                )
            else:
                assert gap.reason == "history"
                assert self.published.can_forget or gap.prev < self.published.begins
                assert self.since is not None, "what never came back has missed nothing"
                assert gap.offset > self.since.offset
                assert gap.offset <= self.hub.selections.history.offset
        self.last = gap.offset

    def _told_change(self, entry: Entry) -> None:
        assert self.owed is None, "a gap was to be told first"
        assert entry.offset > self.last
        (true,) = self.published.between(entry.offset - 1, entry.offset)
        assert self.asked.wants(true.change), "it was not asked for"
        if FIELDS[self.asked.fields] == "none":
            assert entry.change == replace(true.change, data=None)
        else:
            assert entry.change is true.change
        self._expect_nothing_lost(entry.offset - 1)
        self.last = entry.offset

    def _expect_nothing_lost(self, end: int) -> None:
        """Everything after the last one up to `end` is old by now, or nothing to this subscription."""
        asked = self.asked
        for entry in self.published.entries[self._looked :]:
            if asked.wants(entry.change):
                self.newest[entry.change.uri] = entry.offset
        self._looked = len(self.published.entries)
        for entry in self.published.between(self.last, end):
            if asked.wants(entry.change):
                assert asked.merges, f"{entry.offset} was lost"
                assert self.newest[entry.change.uri] > entry.offset, f"{entry.offset} was the last state"

    def expect_all_known(self) -> None:
        """Nothing waits any more: it knows the last state of everything, or that it does not."""
        assert self.owed is None, "a gap was never told"
        self._expect_nothing_lost(len(self.published.entries))
        assert not [
            entry
            for entry in self.published.between(self.last, len(self.published.entries))
            if self.asked.wants(entry.change)
        ]

    def expect_on_time(self, now: float) -> None:
        """All that is due was taken: no last state that is left has waited for longer than it may."""
        assert self.subscription is not None
        if self.asked.is_batch and self.subscription.replay is None:
            self._expect_nothing_lost(self.last)
            for offset in self.newest.values():
                at = max(self.published.times[offset - 1], self.live_since)
                assert offset <= self.last or now < at + MAX_WAIT


def wanted(known: list[Knowledge]) -> Counter[str]:
    """How many there are of each meaning."""
    return Counter(SELECTORS[each.asked.selector][1] for each in known)
