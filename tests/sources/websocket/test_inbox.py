"""The inbox against a model that forgets nothing it should not."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.live import Change
from mcptrio.sources.json_data import MOST_DATA
from mcptrio.sources.websocket.inbox import Inbox
from mcptrio.sources.websocket.router import Event, Fact

KEEP, KEEP_BYTES, REMEMBER = 3, 20, 4


def fact(uri: str, change: str, value: object, type: str = "*") -> Fact:
    return Fact(uri, "x:{n}", "n", change, msgspec.json.encode(value), value, type)


events = st.builds(
    Event,
    id=st.one_of(st.none(), st.sampled_from("abcdefgh")),
    facts=st.lists(
        st.builds(
            fact,
            uri=st.sampled_from(["x:1", "x:2", "x:3", "x:4", "x:5"]),
            change=st.sampled_from(["auto", "created", "updated", "deleted"]),
            value=st.text("abc", max_size=28),
            type=st.just("posted"),
        ),
        max_size=3,
    ).map(tuple),
)


@given(st.lists(events, max_size=40))
def test_each_id_is_taken_once_and_what_is_told_is_what_is_held(sent: list[Event]) -> None:
    inbox = Inbox(keep=KEEP, keep_bytes=KEEP_BYTES, remember=REMEMBER)
    remembered: list[str] = []
    told: dict[str, object] = {}
    for event in sent:
        changes = inbox.take(event, "s")
        repeated = event.id in remembered
        if event.facts and event.id is not None:
            remembered = [id for id in remembered if id != event.id] + [event.id]
            remembered = remembered[-REMEMBER:]
        facts = () if repeated else event.facts
        evictions = _check(changes, facts, told)
        assert len(changes) == len(facts) + evictions
        held = inbox.of("x:{n}")
        assert {uri for uri, _ in held} == set(told)
        assert len(held) <= KEEP
        assert sum(len(each.content) for _, each in held) <= KEEP_BYTES or len(held) == 1
        for each in facts[-1:]:
            last = inbox.get(each.uri)
            assert (last is None) if each.change == "deleted" else (last and last.content == each.content)
    counts = inbox.counts()
    assert counts.messages == len(sent) == counts.taken + counts.repeated + counts.unknown


def _check(changes: list[Change], facts: tuple[Fact, ...], told: dict[str, object]) -> int:
    """Follow the changes: those of the facts in their order, and evictions of what was there; how many of these.

    What is told of a deletion is what was told of its resource last.
    """
    rest = list(facts)
    evictions = 0
    for change in changes:
        metadata = change.metadata or {}
        known = told.pop(change.uri, None)
        if "tags" in metadata:
            taken = rest.pop(0)
            assert taken.uri == change.uri
            expected = taken.change if taken.change != "auto" else "created" if known is None else "updated"
            assert change.kind == expected
            if change.kind != "deleted":
                told[change.uri] = known = taken.value
        else:
            evictions += 1
            assert change.kind == "deleted"
            assert known is not None
        assert change.data == known
        assert metadata.get("size") == (None if known is None else len(msgspec.json.encode(known)))
    assert rest == []
    return evictions


def test_the_type_of_an_event_is_a_tag_if_a_route_names_it() -> None:
    inbox = Inbox(keep=10, keep_bytes=1000, remember=10)
    event = Event(None, (fact("x:1", "auto", {"a": 1}, "posted"), fact("x:2", "auto", {"a": 1})))
    named, others = inbox.take(event, "s")
    assert named.metadata == {"size": 7, "tags": ["posted"]}
    assert others.metadata == {"size": 7}
    [gone] = inbox.take(Event(None, (fact("x:3", "deleted", None),)), "s")
    assert (gone.data, gone.metadata) == (None, None), "nothing was known of it"


def test_json_that_is_too_long_does_not_go_with_its_changes() -> None:
    inbox = Inbox(keep=10, keep_bytes=MOST_DATA * 10, remember=10)
    longest = "x" * (MOST_DATA - 2)
    [fits] = inbox.take(Event(None, (fact("x:1", "auto", longest),)), "s")
    assert fits.data == longest
    [created] = inbox.take(Event(None, (fact("x:2", "auto", longest + "x"),)), "s")
    [deleted] = inbox.take(Event(None, (fact("x:2", "deleted", None),)), "s")
    for change in (created, deleted):
        assert (change.data, change.metadata) == (None, {"size": MOST_DATA + 1})
