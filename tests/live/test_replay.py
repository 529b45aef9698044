"""Coming back: the way of subscriptions through history into the present."""

from __future__ import annotations

import math

import pytest

from mcptrio.live import Allowance, Outbox, Replay, selections
from mcptrio.live.history import LOOKS, History
from mcptrio.live.selector import Selector
from tests.live.desk import Desk

EVERY: dict[str, object] = {"policy": "every"}
BATCH: dict[str, object] = {"policy": {"batch": {"windowMs": 200, "maxWaitMs": 1000}}}


def used(allowance: Allowance | None = None, history: History | None = None) -> Desk:
    """A desk whose history has begun."""
    desk = Desk(allowance, history)
    desk.subscribe(Outbox(), {"uri": "z:z"})
    return desk


def numbered(label: str, *offsets: int) -> list[tuple[object, ...]]:
    return [(label, offset) for offset in offsets]


def test_what_was_missed_is_told_in_order_and_then_what_happens() -> None:
    desk, outbox = used(), Outbox()
    desk.publish("a:1", "b:1", "a:2", "a:1")
    (honoured,) = desk.subscribe(outbox, {"glob": "a:*", **EVERY, "since": desk.cursor(1)})
    assert (honoured["cursor"], honoured["recovered"]) == (desk.cursor(1), True)
    desk.publish("a:3", "b:2")
    assert len(outbox) == 1  # history comes first
    assert desk.take(outbox) == numbered("glob", 3, 4, 5)
    desk.publish("a:4")
    assert desk.take(outbox) == numbered("glob", 7)


def test_each_of_those_that_come_back_together_goes_on_from_its_own_cursor() -> None:
    desk, outbox = used(), Outbox()
    desk.publish("a:1", "b:1", "a:2", "b:2", "a:3")
    desk.subscribe(
        outbox,
        {"label": "x", "glob": "a:*", **EVERY, "since": desk.cursor(4)},
        {"label": "y", "glob": "**", **EVERY, "since": desk.cursor(1), "filter": {"kind": "updated"}},
        {"label": "new", "glob": "**", **EVERY},
        {"label": "up to date", "glob": "**", **EVERY, "since": desk.cursor(5)} | {"label": "now"},
        {"label": "z", "uri": "b:1", **EVERY, "since": desk.cursor(0)},
    )
    desk.publish("a:4")
    assert sorted(desk.take(outbox)) == sorted(
        [*numbered("x", 5, 6), *numbered("y", 2, 3, 4, 5, 6), ("new", 6), ("now", 6), ("z", 2)]
    )
    assert (desk.selections.recovered, desk.selections.unrecovered) == (4, 0)


def test_what_nobody_keeps_is_a_gap_and_what_is_left_comes_after_it() -> None:
    desk, outbox = used(history=History("", most=3)), Outbox()
    desk.publish("a:1", "a:2", "a:3", "a:4", "a:5")
    first, other = desk.subscribe(
        outbox,
        {"glob": "a:*", **EVERY, "since": desk.cursor(1)},
        {"uri": "a:1", "since": desk.cursor(1)},
    )
    assert (first["recovered"], first["cursor"]) == (False, desk.cursor(1))
    assert (other["recovered"], other["cursor"]) == (True, desk.cursor(1))
    assert desk.take(outbox) == [("glob", 2, 1, "history"), *numbered("glob", 3, 4, 5)]
    desk.publish("a:1")
    assert sorted(desk.take(outbox)) == [("glob", 6), ("uri", 6)]
    assert (desk.selections.recovered, desk.selections.unrecovered) == (1, 1)


def test_a_cursor_of_another_life_begins_now_with_a_gap() -> None:
    desk, outbox = used(), Outbox()
    desk.publish("a:1")
    (honoured,) = desk.subscribe(outbox, {"glob": "a:*", "since": f"{'0' * 16}.7"})
    assert (honoured["recovered"], honoured["cursor"]) == (False, desk.cursor(1))
    desk.publish("a:2")
    assert desk.take(outbox) == [("glob", 1, 1, "restarted"), ("glob", 2)]


def test_a_replay_goes_in_steps_and_what_is_published_meanwhile_is_told_in_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(selections, "STEP", 4)
    desk, outbox = used(), Outbox()
    desk.publish(*["a:1"] * 6)
    desk.subscribe(
        outbox, {"label": "old", "glob": "a:*", **EVERY, "since": desk.cursor(0)}, {"uri": "a:1", **EVERY}
    )
    told: list[tuple[object, ...]] = []
    rounds = 0
    while len(outbox):
        told += desk.take(outbox, 1)
        rounds += 1
        if rounds <= 4:
            desk.publish("a:1")
    assert [one for one in told if one[0] == "old"] == numbered("old", *range(1, 11))
    assert [one for one in told if one[0] == "uri"] == numbered("uri", *range(7, 11))
    assert rounds > 5


def test_many_subscriptions_that_come_back_take_no_longer_step_than_few() -> None:
    desk, outbox = used(), Outbox()
    desk.publish(*["a:1"] * 50)
    desk.subscribe(
        outbox, *({"label": f"l{number}", "glob": "a:*", "since": desk.cursor(0)} for number in range(200))
    )
    before = desk.allowance.tally.merged + desk.allowance.count
    key = desk.take_key(outbox)
    assert isinstance(key, Replay)
    desk.selections.advance(key)
    assert desk.allowance.tally.merged + desk.allowance.count - before <= 2 * selections.STEP
    told = desk.take(outbox)
    assert sorted(told)[-1] == ("l99", 50)
    assert len({label for label, _ in told}) == 200


def test_large_data_that_filters_look_at_makes_a_step_shorter() -> None:
    desk, outbox = used(Allowance()), Outbox()
    for number in range(20):
        desk.publish(f"a:{number}", data={"n": number, "text": "x" * 100_000})
    desk.subscribe(outbox, {"glob": "a:*", **EVERY, "filter": {"lt": {"/n": 15}}, "since": desk.cursor(0)})
    key = desk.take_key(outbox)
    assert isinstance(key, Replay)
    desk.selections.advance(key)
    assert 0 < key.position <= selections.STEP * 1024 // 100_000 + 1
    assert desk.take(outbox) == numbered("glob", *range(1, 16))


def test_while_much_waits_a_replay_waits_so_that_nothing_is_given_up() -> None:
    desk, outbox = used(Allowance(4)), Outbox()
    desk.publish(*(f"a:{number}" for number in range(40)))
    desk.subscribe(outbox, {"glob": "a:*", **EVERY, "since": desk.cursor(0)})
    desk.take(outbox, 1)
    assert desk.allowance.count == 3
    (waiting,) = list(outbox._pending)[:1]
    assert desk.take_key(outbox) is waiting
    outbox.send_nowait(waiting)
    desk.take(outbox, 1)  # the replay, which sees that it has to wait
    assert len(desk.allowance.paused) == 1
    assert list(outbox._pending) == [waiting]
    assert desk.take(outbox) == numbered("glob", *range(1, 41))
    assert desk.allowance.tally.gaps == {}
    assert desk.allowance.paused == {}


def test_large_changes_that_were_missed_are_told_though_all_of_them_are_more_than_may_wait() -> None:
    desk = used(Allowance(most_bytes=300_000))
    outbox = Outbox()
    for number in range(20):
        desk.publish(f"a:{number}", data="x" * 100_000)
    desk.subscribe(outbox, {"glob": "a:*", **EVERY, "fields": "all", "since": desk.cursor(0)})
    assert desk.take(outbox) == numbered("glob", *range(1, 21))


def paused(desk: Desk, outbox: Outbox, waiting: Outbox, **first: object) -> None:
    """Have so much wait in one outbox that the replay of another waits, too."""
    desk.subscribe(waiting, {"label": "full", "glob": "a:*", **EVERY, **first})
    desk.publish("a:1", "a:2", "a:3")
    desk.subscribe(outbox, {"glob": "a:*", **EVERY, "since": desk.cursor(0)})
    assert desk.take(outbox) == []
    assert len(desk.allowance.paused) == 1


def test_a_replay_goes_on_when_another_outbox_of_its_client_has_been_taken_from() -> None:
    desk, outbox, other = used(Allowance(4)), Outbox(), Outbox()
    paused(desk, outbox, other)
    assert desk.take(other) == numbered("full", 1, 2, 3)
    assert desk.take(outbox) == numbered("glob", 1, 2, 3)


def test_a_replay_goes_on_when_what_waits_has_gone_with_another_outbox() -> None:
    desk, outbox, other = used(Allowance(4)), Outbox(), Outbox()
    paused(desk, outbox, other)
    desk.hub.leave(other)
    assert desk.take(outbox) == numbered("glob", 1, 2, 3)


def test_a_replay_goes_on_when_what_waits_was_for_a_subscription_that_has_ended() -> None:
    desk, outbox, other = used(Allowance(4)), Outbox(), Outbox()
    paused(desk, outbox, other)
    desk.selections.unsubscribe(other, "full")
    assert desk.take(outbox) == numbered("glob", 1, 2, 3)


def test_a_replay_goes_on_when_what_waits_was_for_a_subscription_that_another_has_taken_the_place_of() -> (
    None
):
    desk, outbox, other = used(Allowance(4)), Outbox(), Outbox()
    paused(desk, outbox, other)
    desk.subscribe(other, {"label": "full", "uri": "b:1"})
    assert desk.take(outbox) == numbered("glob", 1, 2, 3)


def test_a_replay_goes_on_when_what_waits_has_been_given_up() -> None:
    desk, outbox, other = used(Allowance(4)), Outbox(), Outbox()
    paused(desk, outbox, other)
    desk.publish("a:4", "a:5")
    assert desk.take(other) == [("full", 5, 0, "pending")]
    assert desk.take(outbox) == numbered("glob", 1, 2, 3, 4, 5)


def test_a_replay_that_waits_for_a_batch_goes_on_when_its_time_has_come() -> None:
    desk, outbox, other = used(Allowance(4)), Outbox(), Outbox()
    paused(desk, outbox, other, **BATCH)
    desk.now = desk.selections.next_due()
    desk.selections.ring()
    assert desk.take(other) == numbered("full", 1, 2, 3)
    assert desk.take(outbox) == numbered("glob", 1, 2, 3)


@pytest.mark.parametrize("how", ["leave", "unsubscribe", "replace", "rebuild"])
@pytest.mark.parametrize("when", ["waiting", "paused", "under way"])
def test_nothing_is_left_of_a_replay_whose_subscriptions_have_ended(
    how: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selections, "STEP", 1)
    desk, outbox, other = Desk(Allowance(4)), Outbox(), Outbox()
    desk.subscribe(other, {"label": "full", "glob": "a:*", **EVERY})
    desk.publish(*["a:1"] * (3 if when == "paused" else 2))
    desk.subscribe(
        outbox,
        {"label": "x", "glob": "a:*", **EVERY, "since": desk.cursor(0)},
        {"label": "y", "uri": "a:1", **BATCH, "since": desk.cursor(1)},
    )
    if when != "waiting":
        desk.take(outbox, 1)
    assert bool(desk.allowance.paused) is (when == "paused")
    match how:
        case "leave":
            desk.hub.leave(outbox)
        case "unsubscribe":
            for label in ("x", "y"):
                assert desk.selections.unsubscribe(outbox, label)
        case "replace":
            desk.subscribe(outbox, {"label": "x", "uri": "b:1"}, {"label": "y", "uri": "b:2"})
        case _:
            desk.hub.rebuild()
            assert set(desk.take(outbox)) == {("x", 0, 0, "restarted"), ("y", 0, 1, "restarted")}
    assert len(outbox) == 0
    assert desk.allowance.paused == {}
    for each in (outbox, other):
        desk.hub.leave(each)
    desk.expect_nothing_left()


def test_of_those_that_come_back_one_may_end_and_the_others_go_on() -> None:
    desk, outbox = used(), Outbox()
    desk.publish("a:1", "a:2")
    since = {"since": desk.cursor(0), **EVERY}
    desk.subscribe(outbox, {"label": "x", "glob": "a:*", **since}, {"label": "y", "glob": "a:*", **since})
    # The label comes back once more while the former one is on its way.
    desk.subscribe(outbox, {"label": "x", "uri": "a:2", **since})
    first = next(key for key in outbox._pending if isinstance(key, Replay))
    assert (len(first.items), len(first.index)) == (1, 1)
    assert sorted(desk.take(outbox)) == [("x", 2), ("y", 1), ("y", 2)]


def test_history_that_is_forgotten_during_a_replay_is_a_gap_for_those_who_may_have_missed_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(selections, "STEP", 1)
    desk, outbox = used(history=History("", most=4)), Outbox()
    desk.publish("a:1", "a:2", "a:3", "b:1")
    desk.subscribe(
        outbox,
        {"label": "slow", "glob": "a:*", **EVERY, "since": desk.cursor(0)},
        {"label": "quiet", "uri": "b:1", "since": desk.cursor(0)},
        {"label": "late", "glob": "**", **EVERY, "since": desk.cursor(3)},
    )
    desk.publish("a:4", "c:1")  # 1 and 2 are forgotten
    told = desk.take(outbox)
    assert [one for one in told if one[0] == "slow"] == [("slow", 2, 0, "history"), *numbered("slow", 3, 5)]
    assert [one for one in told if one[0] == "quiet"] == [("quiet", 4)]
    assert [one for one in told if one[0] == "late"] == numbered("late", 4, 5, 6)
    assert desk.allowance.tally.gaps == {"history": 1}


def test_what_grows_too_old_during_a_replay_is_not_told() -> None:
    desk, outbox = used(history=History("", max_age=10)), Outbox()
    desk.publish("a:1")
    desk.now = 8
    desk.publish("a:2")
    desk.subscribe(outbox, {"glob": "a:*", **EVERY, "since": desk.cursor(0)})
    desk.now = 15
    assert desk.take(outbox) == [("glob", 1, 0, "history"), ("glob", 2)]


def test_another_run_of_the_program_forgets_history_and_says_so_to_who_was_on_the_way() -> None:
    desk, outbox = used(), Outbox()
    desk.publish("a:1", "a:2")
    desk.subscribe(outbox, {"glob": "a:*", **EVERY, "since": desk.cursor(0)}, {"uri": "a:1"})
    desk.hub.begin_run()
    desk.publish("a:1")
    assert set(desk.take(outbox)) == {("glob", 2, 0, "history"), ("glob", 3), ("uri", 3)}


def test_how_long_patterns_look_for_what_they_may_have_missed_is_bounded_for_all_that_come_back_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[str] = []
    plain = Selector.matches

    def matches(self: Selector, uri: str) -> bool:
        tried.append(uri)
        return plain(self, uri)

    monkeypatch.setattr(Selector, "matches", matches)
    desk, outbox = used(history=History("", most=300)), Outbox()
    desk.publish(*(f"a:{number}" for number in range(600)))
    asked = [
        {"label": f"l{number}", "glob": f"**x{number}", "since": desk.cursor(0)} for number in range(500)
    ]
    honoured = desk.subscribe(outbox, *asked)
    assert len(tried) <= LOOKS
    assert {each["recovered"] for each in honoured} == {False}  # it is not known to be true
    tried.clear()
    (alone,) = desk.subscribe(outbox, {"glob": "b:**x", "since": desk.cursor(300)})
    assert alone["recovered"] is True
    assert tried == []
    assert desk.selections.next_due() == math.inf
