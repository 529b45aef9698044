"""What a client must have been told: a judge of what one client reads, which knows what was published and nothing of the hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.extension.judge import CALLED, CHANGE, SUBSCRIPTIONS, fits
from tests.extension.rig import called
from tests.server.rig import ACKNOWLEDGED, TAG, UPDATED, Json


class Published(NamedTuple):
    """A change as it was numbered."""

    offset: int
    uri: str
    kind: str
    n: int


FILTERS: dict[str, tuple[Json | None, Callable[[Published], bool]]] = {
    "none": (None, lambda one: True),
    "kind": ({"kind": ["created", "deleted"]}, lambda one: one.kind in ("created", "deleted")),
    "ge": ({"ge": {"/n": 5}}, lambda one: one.n >= 5),
    "not": ({"not": {"in": {"/n": [1, 2, 3]}}}, lambda one: one.n not in (1, 2, 3)),
    "or": (
        {"or": [{"eq": {"/n": 0}}, {"and": [{"kind": "updated"}, {"lt": {"/n": 3.5}}]}]},
        lambda one: one.n == 0 or (one.kind == "updated" and one.n < 4),
    ),
}


class Log:
    """All that was published in one life of the hub."""

    def __init__(self, epoch: str, kept: int, first: int = 0) -> None:
        """`kept` is how many changes the hub keeps; up to `first` nobody has recorded anything."""
        self.epoch = epoch
        self.entries: list[Published] = []
        self._kept = kept
        self._first = first

    @property
    def newest(self) -> int:
        return self._first + len(self.entries)

    @property
    def floor(self) -> int:
        return max(self._first, self.newest - self._kept)

    def find(self, offset: object) -> Published:
        assert isinstance(offset, int) and self._first < offset <= self.newest, offset
        return self.entries[offset - self._first - 1]

    def between(self, low: int, high: int) -> list[Published]:
        """Behind `low`, up to `high`."""
        return self.entries[max(0, low - self._first) : max(0, high - self._first)]


class Asked(NamedTuple):
    """A subscription that was asked for, and when: the server has got it at some time behind that."""

    terms: Json
    filter: Callable[[Published], bool]
    newest: int
    floor: int


@dataclass
class Story:
    """What one subscription was told, from its acknowledgement on."""

    log: Log
    asked: Asked
    honoured: Json
    places: list[tuple[int, bool]] = field(default_factory=list)
    """Where it has got to, one after the other, and whether it got there by a gap."""
    owes_gap: bool = False

    def __post_init__(self) -> None:
        epoch, _, place = str(self.honoured["cursor"]).partition(".")
        assert epoch == self.log.epoch
        number = int(place)
        self.places.append((number, False))
        former, _, place = str(self.asked.terms.get("since", "")).partition(".")
        if former != epoch:
            assert self.asked.newest <= number <= self.log.newest
            self.owes_gap = bool(former)
            assert self.honoured.get("recovered") is (False if former else None)
            return
        assert number == int(place)
        self.owes_gap = not self.honoured["recovered"]
        if self.owes_gap:
            assert number < self.log.floor, f"nothing that was asked for is forgotten: {self}"
        else:
            assert not list(self.wanted(number, self.asked.floor)), f"something is forgotten: {self}"

    @property
    def merges(self) -> bool:
        return self.asked.terms["policy"] != "every"

    def wanted(self, low: int, high: int) -> Iterator[Published]:
        """What was asked for of what was published behind `low`, up to `high`."""
        for one in self.log.between(low, high):
            if fits(self.asked.terms, one.uri) and self.asked.filter(one):
                yield one

    def told(self, uri: str, change: Json) -> None:
        """One delivery."""
        last, _ = self.places[-1]
        offset = change["offset"]
        assert isinstance(offset, int)
        assert change["prev"] == last, f"a hole: {change}, {self}"
        is_gap = "reason" in change
        if self.owes_gap:
            assert is_gap, f"a gap comes first: {change}"
            self.owes_gap = False
        self.places.append((offset, is_gap))
        if is_gap:
            assert offset >= last
            return
        assert offset > last
        one = self.log.find(offset)
        assert (one.uri, one.kind) == (uri, change["kind"]) and change.get("data") == {"n": one.n}, change
        assert one in self.wanted(last, offset), f"was not asked for: {change}, {self.asked}"
        if not self.merges:
            missing = list(self.wanted(last, offset - 1))
            assert not missing, f"{missing} before {change}: {self}"

    def finish(self) -> None:
        """Everything was read: nothing may be missing but what was merged or is in a gap."""
        assert not self.owes_gap, self
        reached = self.places[-1][0]
        told = {offset for offset, is_gap in self.places if not is_gap}
        gap = max((offset for offset, is_gap in self.places if is_gap), default=-1)
        assert not (behind := list(self.wanted(reached, self.log.newest))), f"{behind} never came: {self}"
        if self.merges:
            # Of each URI the last one, unless it is in a gap.
            last = {one.uri: one.offset for one in self.wanted(self.places[0][0], self.log.newest)}
            lost = [offset for offset in last.values() if offset > gap and offset not in told]
            assert not lost, f"the last state {lost} was lost: {self}"


Owner = tuple[str, object]
"""Whose subscription it is: the session's, or a listen's."""
SESSION: Owner = ("", None)


@dataclass
class Reader:
    """What one client has asked, and the story of each of its subscriptions as far as it has read."""

    log: Log
    stories: dict[Owner, dict[object, Story]] = field(default_factory=dict)
    asked: dict[object, list[Asked] | str] = field(default_factory=dict)
    """What was sent and is not answered yet: by a listen's owner, or a request's id; a string is what it ends."""
    ended: set[Owner] = field(default_factory=set)
    """Listens that were cancelled: what was on its way may still come."""
    last: dict[object, str] = field(default_factory=dict)
    """The cursor to go on from, by label."""
    read: int = 0

    def take(self, message: Json) -> None:
        """The next message that was read."""
        self.read += 1
        if "id" in message:
            self._answered(message)
            return
        params = message["params"]
        assert isinstance(params, dict)
        meta = params.get("_meta", {})
        tag = meta.get(TAG)
        owner = SESSION if tag is None else (type(tag).__name__, tag)
        if message["method"] == ACKNOWLEDGED:
            self._begin(owner, self.asked.pop(owner), params["notifications"][SUBSCRIPTIONS])
        else:
            assert message["method"] == UPDATED
            self._told(owner, params["uri"], meta[CHANGE])

    def _answered(self, message: Json) -> None:
        result = message.get("result")
        assert isinstance(result, dict), message
        asked = self.asked.pop(message["id"])
        if isinstance(asked, list):
            self._begin(SESSION, asked, [result["_meta"][SUBSCRIPTIONS]])
            return
        stories = self.stories.get(SESSION, {})
        ended = [
            label
            for label, story in stories.items()
            if asked in (called(story.asked.terms), f"{CALLED}{label}")
        ]
        for label in ended:
            del stories[label]

    def _begin(self, owner: Owner, asked: list[Asked] | str, honoured: list[Json]) -> None:
        assert isinstance(asked, list)
        stories = self.stories.setdefault(owner, {})
        for each, told in zip(asked, honoured, strict=True):
            label = each.terms["label"]
            stories[label] = Story(self.log, each, told)
            self.last[label] = str(told["cursor"])

    def _told(self, owner: Owner, uri: str, change: Json) -> None:
        if owner in self.ended:
            return
        story = self.stories.get(owner, {}).get(change["label"])
        assert story is not None, f"of no subscription: {owner} {uri} {change}"
        story.told(uri, change)
        self.last[change["label"]] = f"{self.log.epoch}.{change['offset']}"

    def finish(self) -> None:
        """It has read all that there was."""
        assert not self.asked, f"never answered: {self.asked}"
        for stories in self.stories.values():
            for story in stories.values():
                story.finish()
