"""The listener's machine, one situation at a time."""

from __future__ import annotations

from random import Random

from mcptrio.sources.listener import Answer, Event, ListenerSettings, Statistics
from mcptrio.sources.listener.machine import Machine
from mcptrio.sources.listener.memory import CHUNK, Checkpoint, Memory, Recent


def plain(id: str, uri: str = "s:1") -> Event:
    return Event(uri=uri, id=id)


def version(number: int, uri: str = "s:1") -> Event:
    return Event(uri=uri, id="e", version=number)


def numbered(number: int, uri: str = "s:1", series: str = "") -> Event:
    return Event(uri=uri, id=f"e{number}", sequence=number, series=series)


def ready(*baseline: Event) -> Machine:
    """A machine with a baseline, an open stream and no gap."""
    machine = Machine(ListenerSettings(), Statistics(), Checkpoint(), Random(1))
    machine.opened()
    polled(machine, *baseline)
    assert given(machine) == []
    return machine


def polled(machine: Machine, *events: Event, now: float = 0.0) -> None:
    machine.ask()
    machine.answered(Answer("c", events), now)


def given(machine: Machine) -> list[Event]:
    found = []
    while (each := machine.give()) is not None:
        found.append(each[0])
    return found


def test_a_poll_that_began_before_the_stream_was_opened_does_not_fill_its_gap() -> None:
    machine = ready()
    machine.closed("gone")
    machine.ask()
    machine.opened()
    machine.event(version(2), 1.0)
    machine.answered(Answer("c"), 1.0)
    assert given(machine) == []
    assert machine.word() is None
    assert machine.due <= 1.0
    polled(machine, version(1), now=1.0)
    assert given(machine) == [version(1), version(2)]


def test_an_event_without_order_waits_for_the_poll_that_runs() -> None:
    machine = ready()
    machine.ask()
    machine.event(plain("b"), 1.0)
    machine.event(version(7, "s:2"), 1.0)
    assert given(machine) == [version(7, "s:2")], "of which it can be told"
    machine.answered(Answer("c", (plain("a"),)), 2.0)
    assert given(machine) == [plain("a"), plain("b")]


def test_what_is_held_and_what_a_poll_brings_go_out_in_the_order_of_their_versions() -> None:
    machine = ready()
    machine.opened()
    machine.event(version(1), 1.0)
    polled(machine, version(3), version(2))
    assert given(machine) == [version(1), version(2), version(3)]


def test_a_number_that_was_passed_over_is_announced_if_it_comes_after_all() -> None:
    machine = ready(numbered(0))
    machine.event(numbered(2), 1.0)
    machine.tick(1.0 + 29)
    assert given(machine) == []
    machine.tick(1.0 + 30)
    machine.event(numbered(1, "s:2"), 32.0)
    machine.event(numbered(1, "s:2"), 32.0)
    assert given(machine) == [numbered(2), numbered(1, "s:2")]


def test_a_number_that_came_before_is_a_duplicate_however_long_ago() -> None:
    machine = ready(numbered(50))
    machine.event(numbered(3, "s:9"), 1.0)
    assert given(machine) == []


def test_a_fact_dropped_as_late_is_known_when_the_stream_brings_it_later() -> None:
    machine = ready()
    machine.event(plain("b"), 1.0)
    assert given(machine) == [plain("b")]
    polled(machine, plain("a"), plain("b"), now=2.0)
    machine.event(plain("a"), 3.0)
    assert given(machine) == []


def test_a_poll_that_lists_the_same_fact_twice_is_taken_by_its_first_place() -> None:
    machine = ready()
    polled(machine, plain("a"), plain("b"), plain("a"))
    assert given(machine) == [plain("a"), plain("b")]


def test_a_number_that_a_poll_passes_over_is_not_waited_for() -> None:
    machine = ready(numbered(0))
    machine.event(numbered(5), 1.0)
    assert machine.due == 1.5
    polled(machine, numbered(0), numbered(5), now=1.5)
    assert given(machine) == [numbered(5)]


def test_a_poll_that_shows_old_numbers_again_changes_nothing() -> None:
    machine = ready(numbered(0), numbered(1), numbered(2))
    polled(machine, numbered(0), numbered(1))
    machine.event(numbered(3), 1.0)
    assert given(machine) == [numbered(3)]


def test_a_new_series_waits_for_a_poll_that_began_after_it() -> None:
    machine = ready()
    machine.ask()
    machine.event(numbered(7, series="new"), 1.0)
    machine.answered(Answer("c"), 1.0)
    assert given(machine) == []
    polled(machine, now=2.0)
    assert given(machine) == [numbered(7, series="new")]


def test_events_that_share_a_number_are_all_announced() -> None:
    machine = ready(numbered(0))
    machine.event(numbered(2, "s:1"), 1.0)
    machine.event(numbered(2, "s:2"), 1.0)
    machine.event(numbered(1, "s:1"), 1.0)
    machine.event(numbered(2, "s:3"), 1.0)
    assert [event.uri for event in given(machine)] == ["s:1", "s:1", "s:2", "s:3"]


def test_a_poll_goes_on_with_the_page_that_failed() -> None:
    machine = ready()
    machine.ask()
    machine.answered(Answer("c1", (plain("a"),), more=True), 1.0)
    assert machine.due <= 1.0
    assert machine.ask() == "c1"
    machine.refused(1.0, "no")
    assert given(machine) == []
    assert 1.0 < machine.due < 5.0
    assert machine.ask() == "c1"
    machine.answered(Answer("c2", (plain("b"),)), 5.0)
    assert given(machine) == [plain("a"), plain("b")]
    assert machine.checkpoint.cursor == "c2"


def test_an_answer_whose_cursor_leads_nowhere_is_a_failure() -> None:
    machine = ready()
    machine.ask()
    machine.answered(Answer("c", more=True), 1.0)
    machine.ask()
    machine.answered(Answer(None), 2.0)
    word = machine.word()
    assert word is not None
    assert "leads nowhere" in word.reason


def test_the_cursor_in_the_checkpoint_does_not_pass_what_is_still_to_be_announced() -> None:
    machine = ready()
    machine.ask()
    machine.answered(Answer("c2", (plain("a"), plain("b"))), 1.0)
    first, second = machine.give(), machine.give()
    assert first is not None
    assert second is not None
    assert (first[1].cursor, second[1].cursor) == ("c", "c2")


def test_memory_forgets_the_oldest_and_is_the_same_when_made_anew() -> None:
    memory = Memory(Recent(), 128)
    for number in range(1000):
        memory.add(Event(uri=f"s:{number}", id="e", version=1, sequence=number))
    assert 128 <= len(list(memory.recent)) < 128 + CHUNK
    anew = Memory(memory.recent, 128)
    for each in (memory, anew):
        kept = [number for number in range(1000) if (f"s:{number}", "e", 1) in each]
        assert len(kept) == len(each) == len(list(memory.recent))
        assert kept[-1] == 999
        assert each.greatest == {"": 999}
        assert each.is_older(Event(uri="s:999", id="e", version=0))
        assert not each.is_older(Event(uri="s:1", id="e", version=0)), "forgotten"


def test_the_event_ids_of_two_facts_are_never_the_same() -> None:
    events = [
        Event(uri="s:1", id=id, version=version)
        for id in ("a", "a#", "a#1", "a#1#", "a#1#1")
        for version in (None, 1, 11, -1)
    ]
    assert len({event.change("s").event_id for event in events}) == len(events)
