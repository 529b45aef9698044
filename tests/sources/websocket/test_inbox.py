"""The inbox against a model that forgets nothing it should not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mcptrio.live import Change
from mcptrio.sources.websocket.inbox import Inbox
from mcptrio.sources.websocket.router import Event, Fact

KEEP, KEEP_BYTES, REMEMBER = 3, 20, 4

events = st.builds(
    Event,
    id=st.one_of(st.none(), st.sampled_from("abcdefgh")),
    facts=st.lists(
        st.builds(
            Fact,
            uri=st.sampled_from(["x:1", "x:2", "x:3", "x:4", "x:5"]),
            template=st.just("x:{n}"),
            name=st.just("n"),
            change=st.sampled_from(["auto", "created", "updated", "deleted"]),
            content=st.binary(max_size=30),
            value=st.just("own"),
        ),
        max_size=3,
    ).map(tuple),
)


@given(st.lists(events, max_size=40))
def test_each_id_is_taken_once_and_what_is_told_is_what_is_held(sent: list[Event]) -> None:
    inbox = Inbox(keep=KEEP, keep_bytes=KEEP_BYTES, remember=REMEMBER)
    remembered: list[str] = []
    told: dict[str, bool] = {}
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
        assert {uri for uri, _ in held} == {uri for uri, there in told.items() if there}
        assert len(held) <= KEEP
        assert sum(len(each.content) for _, each in held) <= KEEP_BYTES or len(held) == 1
        for fact in facts[-1:]:
            last = inbox.get(fact.uri)
            assert (last is None) if fact.change == "deleted" else (last and last.content == fact.content)
    counts = inbox.counts()
    assert counts.messages == len(sent) == counts.taken + counts.repeated + counts.unknown


def _check(changes: list[Change], facts: tuple[Fact, ...], told: dict[str, bool]) -> int:
    """Follow the changes: those of the facts in their order, and evictions of what was there; how many of these."""
    rest = list(facts)
    evictions = 0
    for change in changes:
        if change.data == "own":
            fact = rest.pop(0)
            assert fact.uri == change.uri
            assert _fits(change.kind, fact, told)
        else:
            evictions += 1
            assert change.kind == "deleted"
            assert told[change.uri]
        told[change.uri] = change.kind != "deleted"
    assert rest == []
    return evictions


def _fits(kind: str, fact: Fact, told: dict[str, bool]) -> bool:
    if fact.change != "auto":
        return kind == fact.change
    return kind == ("updated" if told.get(fact.uri) else "created")
