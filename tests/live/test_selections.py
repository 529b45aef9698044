"""Subscriptions by the extension, in the hub: who is told what, how one takes another's place, and how they end."""

from __future__ import annotations

import math

import pytest

from mcptrio.live import Allowance, InvalidCursor, Outbox, Subscription
from mcptrio.live import filter as filters
from mcptrio.live.view import View
from tests.live.desk import Desk

BATCH = {"batch": {"windowMs": 200, "maxWaitMs": 1000}}


def test_each_is_told_of_what_it_selects_and_says_where_it_begins() -> None:
    desk, one, two = Desk(), Outbox(), Outbox()
    desk.publish("a:1")
    (honoured,) = desk.subscribe(one, {"uri": "a:1", "policy": "every"})
    assert honoured == {
        "label": "uri",
        "uri": "a:1",
        "policy": "every",
        "fields": "none",
        "cursor": desk.cursor(1),
    }
    desk.subscribe(two, {"glob": "a:*"}, {"template": "b:{id}"})
    desk.publish("a:1", "a:2", "b:3", "c:4")
    assert desk.take(one) == [("uri", 2)]
    assert desk.take(two) == [("glob", 2), ("glob", 3), ("template", 4)]
    assert (desk.hub.matched, len(desk.selections)) == (4, 3)
    assert (desk.take(one), desk.take(two)) == ([], [])


def test_before_the_first_subscription_nothing_is_kept() -> None:
    desk = Desk()
    desk.publish("a:1", "a:2")
    assert len(desk.selections.history) == 0
    (honoured,) = desk.subscribe(Outbox(), {"glob": "a:*", "since": desk.cursor(1)})
    assert honoured["recovered"] is False  # it may have missed something
    desk.publish("a:3")
    assert len(desk.selections.history) == 1


def test_a_label_that_is_subscribed_again_takes_the_place_of_the_former_in_one_step() -> None:
    desk, outbox = Desk(), Outbox()
    desk.subscribe(outbox, {"label": "x", "uri": "a:1", "policy": BATCH, "filter": {"kind": "updated"}})
    desk.publish("a:1")
    assert desk.selections.next_due() == 0.2
    desk.subscribe(outbox, {"label": "x", "uri": "a:1", "policy": "every"})
    assert desk.interests == [("a:1", True)]  # a source is not stopped and started for it
    assert (len(desk.selections), desk.selections.next_due(), desk.allowance.count) == (1, math.inf, 0)
    desk.publish("a:1")
    desk.subscribe(outbox, {"label": "x", "glob": "b:*"})
    assert desk.interests == [("a:1", True), ("b:*", True), ("a:1", False)]
    assert desk.take(outbox) == []  # nothing of the former ones
    desk.publish("a:1", "b:1")
    assert desk.take(outbox) == [("x", 4)]
    desk.hub.leave(outbox)
    desk.expect_nothing_left()


def test_of_a_label_that_is_subscribed_twice_in_one_step_the_last_counts() -> None:
    desk, outbox = Desk(), Outbox()
    desk.subscribe(outbox, {"uri": "a:1"})
    desk.publish("a:1", "b:1")
    since = {"since": desk.cursor(0)}
    desk.subscribe(outbox, {"label": "x", "glob": "a:*", **since}, {"label": "x", "glob": "b:*", **since})
    assert desk.take(outbox) == [("uri", 1), ("x", 2)]
    desk.publish("a:1", "b:1")
    assert desk.take(outbox) == [("uri", 3), ("x", 4)]
    desk.hub.leave(outbox)
    desk.expect_nothing_left()


def test_two_of_an_equal_pattern_are_one_interest_and_end_apart() -> None:
    desk, one, two = Desk(), Outbox(), Outbox()
    desk.subscribe(one, {"label": "x", "uri": "a:1"}, {"label": "y", "glob": "a:1"})
    desk.subscribe(two, {"label": "x", "uri": "a:1"})
    assert desk.interests == [("a:1", True)]
    assert [(selector.pattern, count) for selector, count in desk.selections.wanted()] == [("a:1", 3)]
    desk.publish("a:1")
    assert desk.take(one) == [("x", 1), ("y", 1)]
    desk.publish("a:1")
    assert desk.selections.unsubscribe(one, "x") is True
    assert desk.selections.unsubscribe(one, "x") is False
    assert desk.take(one) == [("y", 2)]
    desk.hub.leave(one)
    assert desk.interests == [("a:1", True)]
    desk.hub.leave(two)
    assert desk.interests == [("a:1", True), ("a:1", False)]
    desk.expect_nothing_left()


def test_unsubscribing_a_uri_ends_all_of_exactly_that_uri_and_no_pattern() -> None:
    desk, outbox, other = Desk(), Outbox(), Outbox()
    desk.subscribe(
        outbox, {"label": "x", "uri": "a:1"}, {"label": "y", "uri": "a:1"}, {"label": "z", "glob": "a:1"}
    )
    desk.subscribe(other, {"uri": "a:1"})
    for _ in range(2):
        desk.selections.unsubscribe_uri(outbox, "a:1")
        assert [one.label for one in desk.selections.of(outbox)] == ["z"]
    desk.selections.unsubscribe_uri(outbox, "a:2")
    desk.selections.unsubscribe_uri(Outbox(), "a:1")
    desk.publish("a:1")
    assert desk.take(outbox) == [("z", 1)]
    assert desk.take(other) == [("uri", 1)]
    for each in (outbox, other):
        desk.hub.leave(each)
    desk.expect_nothing_left()


def test_who_unsubscribes_one_after_the_other_leaves_nothing() -> None:
    desk, outbox = Desk(), Outbox()
    asked = {"label": "x", "glob": "a:*", "policy": BATCH, "filter": {"exists": "/n"}}
    desk.subscribe(outbox, asked, {"uri": "a:1", "since": f"{'0' * 16}.1"})
    desk.publish("a:1", data={"n": 1})
    assert desk.selections.unsubscribe(outbox, "x")
    desk.selections.unsubscribe_uri(outbox, "a:1")
    assert len(outbox) == 0
    desk.expect_nothing_left()


def test_who_leaves_takes_everything_along() -> None:
    desk, outbox = Desk(Allowance(4)), Outbox()
    desk.subscribe(outbox, {"label": "x", "uri": "a:1"})
    for number in range(8):
        desk.publish(f"a:{number}", data={"n": number})
    since = {"since": desk.cursor(0), "policy": "every"}
    desk.subscribe(
        outbox,
        {"label": "every", "glob": "a:*", **since, "filter": {"not": {"eq": {"/n": 2}}}},
        {"label": "batch", "glob": "b:*", "policy": BATCH, "filter": {"kind": "updated"}},
        {"label": "uri", "uri": "a:1", **since},
    )
    desk.publish("b:1")
    assert len(outbox) == 2  # what the first one is told, and a replay
    desk.take(outbox, 2)
    replay = desk.take_key(outbox)  # of the subscription that now has something
    assert isinstance(replay, Subscription)
    desk.selections.settle(replay)
    assert desk.allowance.count > 0
    assert desk.selections.next_due() < math.inf
    for _ in range(2):
        desk.hub.leave(outbox)
    del replay
    assert len(outbox) == 0
    desk.expect_nothing_left()


def test_counts_are_those_of_one_subscriber() -> None:
    desk, one, two = Desk(), Outbox(), Outbox()
    both = {"and": [{"kind": "created"}, {"exists": "/n"}]}
    desk.subscribe(one, {"label": "x", "glob": "a:*", "filter": both}, {"label": "y", "uri": "a:1"})
    desk.subscribe(two, {"label": "x", "glob": "a:*", "filter": {"kind": "created"}})
    selections = desk.selections
    assert [selections.count(each) for each in (one, two, Outbox())] == [2, 1, 0]
    assert [selections.nodes(each) for each in (one, two, Outbox())] == [3, 1, 0]
    found = selections.find(one, "y")
    assert found is not None
    assert found in selections.of(one)
    assert selections.find(two, "y") is selections.find(Outbox(), "x") is None
    desk.subscribe(one, {"label": "x", "glob": "a:*"})
    assert selections.nodes(one) == 0


def test_equal_filters_judge_each_change_once(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[object] = []
    plain = filters.Filter.judge

    def judge(self: filters.Filter, view: View) -> bool:
        judged.append(self.key)
        return plain(self, view)

    monkeypatch.setattr(filters.Filter, "judge", judge)
    desk = Desk()
    outboxes = [Outbox() for _ in range(20)]
    for number, outbox in enumerate(outboxes):
        spelled = {"eq": {"/n": 1}} if number % 2 else {"in": {"/n": [1.0, 1]}}
        desk.subscribe(
            outbox, {"glob": "a:*", "filter": spelled}, {"uri": "a:1", "filter": {"kind": "created"}}
        )
    desk.publish("a:1", data={"n": 1})
    assert len(judged) == 2
    assert [desk.take(outbox) for outbox in outboxes] == [[("glob", 1)]] * 20
    desk.publish("a:1", kind="created", data={"n": 2})
    assert len(judged) == 4
    assert [desk.take(outbox) for outbox in outboxes] == [[("uri", 2)]] * 20
    assert len(desk.selections._filters) == 2


def test_publishing_costs_what_matches_and_not_what_is_subscribed() -> None:
    desk = Desk()
    for number in range(1000):
        desk.subscribe(
            Outbox(),
            {"label": "x", "glob": f"a://box{number}/*"},
            {"label": "y", "template": f"a://{{any}}/user{number}/{{+rest}}"},
            {"label": "z", "glob": f"**/thing{number}"},
        )
    index = desk.selections._index
    before = index.steps
    desk.publish("a://box7/1")
    assert desk.hub.matched == 1
    assert index.steps - before <= 20


def test_who_asks_for_no_data_keeps_none() -> None:
    desk, light, heavy = Desk(), Outbox(), Outbox()
    desk.subscribe(light, {"label": "x", "uri": "a:1"}, {"label": "y", "uri": "a:1", "fields": "metadata"})
    desk.publish("a:1", data="x" * 100_000)
    assert desk.allowance.bytes < 4000
    desk.subscribe(heavy, {"uri": "a:1", "fields": ["/n"]})
    desk.publish("a:1", data="x" * 100_000)
    assert desk.allowance.bytes > 100_000
    assert [entry.change.data for entry in desk.entries(light)] == [None]
    assert [entry.change.data for entry in desk.entries(heavy)] == ["x" * 100_000]


def test_a_cursor_that_was_never_given_out_begins_nothing_and_ends_nothing() -> None:
    desk, outbox = Desk(), Outbox()
    desk.subscribe(outbox, {"label": "x", "uri": "a:1"})
    desk.publish("a:1")
    with pytest.raises(InvalidCursor, match=r"^\[1\]\.since: '[0-9a-f]{16}\.2' is no cursor of an earlier"):
        desk.subscribe(
            outbox, {"label": "x", "uri": "a:2"}, {"label": "y", "uri": "a:3", "since": desk.cursor(2)}
        )
    assert (len(desk.selections), desk.interests) == (1, [("a:1", True)])
    assert desk.take(outbox) == [("x", 1)]


def test_a_batch_is_told_by_the_timer() -> None:
    desk, outbox = Desk(), Outbox()
    rung: list[float] = []
    desk.selections.on_timer = lambda: rung.append(desk.selections.next_due())
    desk.subscribe(
        outbox, {"glob": "a:*", "policy": BATCH}, {"label": "later", "glob": "**", "policy": BATCH}
    )
    desk.publish("a:1")
    assert rung == [0.2]
    desk.now = 0.15
    desk.publish("a:2")
    assert rung == [0.2]
    assert desk.take(outbox) == []
    desk.now = 0.2
    desk.selections.ring()  # something has come since
    assert desk.take(outbox) == []
    assert desk.selections.next_due() == pytest.approx(0.35)
    desk.now = desk.selections.next_due()
    desk.selections.ring()
    assert desk.take(outbox) == [("glob", 1), ("glob", 2), ("later", 1), ("later", 2)]
    assert desk.selections.next_due() == math.inf


def test_a_clock_that_jumps_makes_a_batch_due_and_loses_nothing() -> None:
    desk, outbox = Desk(), Outbox()
    desk.subscribe(outbox, {"glob": "a:*", "policy": BATCH}, {"label": "now", "glob": "a:*"})
    desk.publish("a:1")
    desk.now = 1e9
    desk.publish("a:2")
    desk.selections.ring()
    assert desk.take(outbox) == [("now", 1), ("now", 2), ("glob", 1), ("glob", 2)]
    desk.now = 5  # no clock of Trio's does that
    desk.publish("a:3")
    while desk.selections.next_due() < math.inf:
        desk.now = desk.selections.next_due()
        desk.selections.ring()
    assert sorted(desk.take(outbox)) == [("glob", 3), ("now", 3)]


def test_in_a_hurry_everything_is_taken_though_its_time_has_not_come() -> None:
    desk, outbox, other = Desk(), Outbox(), Outbox()
    for each in (outbox, other):
        desk.subscribe(each, {"glob": "a:*", "policy": BATCH})
    desk.publish("a:1", "a:2")
    desk.selections.hurry(outbox)
    assert (desk.take(outbox), desk.take(other)) == ([("glob", 1), ("glob", 2)], [])
    desk.publish("a:3")
    assert desk.take(outbox) == [("glob", 3)]
    desk.selections.hurry(Outbox())


def test_who_is_reminded_is_told_a_gap_by_each_that_has_told_it_something_and_then_what_waits() -> None:
    desk, outbox = Desk(), Outbox()
    desk.subscribe(outbox, {"glob": "a:*"}, {"uri": "b:1", "policy": BATCH}, {"template": "{x}:2"})
    desk.publish("a:1", "b:1")
    assert desk.take(outbox) == [("glob", 1)]
    desk.publish("a:2")
    desk.hub.remind(outbox)
    desk.hub.remind(outbox)
    assert desk.take(outbox) == [("glob", 1, 1, "history"), ("glob", 3), ("template", 3)]
    assert desk.allowance.tally.gaps == {"history": 1}
    desk.now = desk.selections.next_due()
    desk.selections.ring()
    assert desk.take(outbox) == [("uri", 2)]
    desk.publish("b:1")
    desk.hub.remind(outbox)  # a gap waits for no batch, and what follows it does
    assert desk.take(outbox) == [
        ("glob", 3, 3, "history"),
        ("uri", 2, 2, "history"),
        ("template", 3, 3, "history"),
    ]
    assert desk.selections.next_due() == desk.now + 0.2
    desk.hub.leave(outbox)
    desk.expect_nothing_left()


def test_who_comes_back_and_is_reminded_is_told_what_it_has_missed_and_no_gap() -> None:
    desk, outbox = Desk(), Outbox()
    desk.subscribe(outbox, {"glob": "a:*", "policy": "every"})
    desk.publish("a:1", "a:2", "a:3")
    assert desk.take(outbox) == [("glob", 1), ("glob", 2), ("glob", 3)]
    desk.subscribe(outbox, {"glob": "a:*", "policy": "every", "since": desk.cursor(1)})
    desk.hub.remind(outbox)
    assert desk.take(outbox) == [("glob", 2), ("glob", 3)]
    assert not desk.allowance.tally.gaps


def test_after_a_rebuild_all_go_on_in_the_new_numbers_and_are_told_so() -> None:
    desk, outbox = Desk(), Outbox()
    desk.subscribe(outbox, {"glob": "a:*", "policy": "every"}, {"uri": "a:1", "policy": BATCH})
    desk.publish("a:1", "a:2", "a:3")
    assert desk.take(outbox, 1) == [("glob", 1), ("glob", 2), ("glob", 3)]
    desk.subscribe(outbox, {"label": "back", "glob": "a:*", "since": desk.cursor(1)})
    desk.hub.rebuild()
    desk.publish("a:1")
    assert desk.take(outbox) == [
        ("glob", 0, 3, "restarted"),
        ("glob", 1),
        ("uri", 0, 0, "restarted"),
        ("back", 0, 1, "restarted"),
        ("back", 1),
    ]
    desk.now = 1
    desk.selections.ring()
    assert desk.take(outbox) == [("uri", 1)]
    desk.hub.leave(outbox)
    desk.expect_nothing_left()


def test_a_change_that_is_published_when_interest_begins_is_neither_lost_nor_told_early() -> None:
    desk, outbox = Desk(), Outbox()
    desk.hub.watch_selections(lambda selectors, wanted: wanted and desk.publish("a:now"))
    desk.subscribe(Outbox(), {"glob": "c:*"})
    desk.publish("a:1", "a:2")
    desk.subscribe(outbox, {"glob": "a:*", "policy": "every", "since": desk.cursor(2)})
    assert desk.take(outbox) == [("glob", 3), ("glob", 4)]
    assert desk.hub.offset == 4
