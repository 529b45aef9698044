"""Who wants which part of a source decides what runs: the cases one by one."""

from __future__ import annotations

import math

import pytest

from mcptrio.sources.demand import Demand, Stage


@pytest.fixture
def demand() -> Demand:
    """A source that lingers for ten seconds, in a tree that runs."""
    demand = Demand(10)
    assert demand.opened() == []
    return demand


def test_the_first_want_starts_a_part_and_a_burst_starts_it_once(demand: Demand) -> None:
    assert [demand.want("a") for _ in range(1000)] == [True] + [False] * 999
    assert demand.wants("a") == 1000
    assert demand.stage("a") is Stage.RUNNING


def test_parts_are_started_each_for_itself(demand: Demand) -> None:
    assert demand.want("a")
    assert demand.want("b")
    demand.unwant("a", 0)
    assert demand.due(10) == ["a"]
    assert demand.stage("b") is Stage.RUNNING


def test_what_nobody_wants_runs_on_for_the_linger_and_is_then_told_to_stop_once(demand: Demand) -> None:
    demand.want("a")
    demand.want("a")
    demand.unwant("a", 0)
    assert demand.next_due() == math.inf
    demand.unwant("a", 3)
    assert demand.next_due() == 13
    assert demand.due(12.999) == []
    assert demand.due(13) == ["a"]
    assert demand.due(13) == []
    assert demand.next_due() == math.inf
    assert demand.stage("a") is Stage.STOPPING
    assert not demand.stopped("a")
    assert len(demand) == 0


def test_a_want_within_the_linger_clears_it_and_starts_nothing(demand: Demand) -> None:
    demand.want("a")
    demand.unwant("a", 0)
    assert not demand.want("a")
    assert demand.next_due() == math.inf
    demand.unwant("a", 8)
    assert demand.due(17) == []
    assert demand.due(18) == ["a"]


def test_a_want_while_it_stops_starts_it_again_when_it_has_ended(demand: Demand) -> None:
    demand.want("a")
    demand.unwant("a", 0)
    demand.due(10)
    assert not demand.want("a")
    assert demand.stage("a") is Stage.STOPPING
    assert demand.stopped("a")
    assert demand.stage("a") is Stage.RUNNING


def test_a_want_that_has_gone_again_before_the_end_starts_nothing(demand: Demand) -> None:
    demand.want("a")
    demand.unwant("a", 0)
    demand.due(10)
    demand.want("a")
    demand.unwant("a", 11)
    assert demand.next_due() == math.inf, "it stops already"
    assert not demand.stopped("a")
    assert len(demand) == 0


def test_a_part_that_returned_is_not_started_until_all_have_gone_and_somebody_comes(demand: Demand) -> None:
    demand.want("a")
    demand.returned("a")
    assert demand.stage("a") is Stage.DONE
    assert not demand.want("a")
    demand.unwant("a", 1)
    assert not demand.want("a")
    demand.unwant("a", 2)
    demand.unwant("a", 2)
    assert len(demand) == 0
    assert demand.next_due() == math.inf
    assert demand.want("a")


def test_a_part_that_returned_while_it_lingered_is_forgotten(demand: Demand) -> None:
    demand.want("a")
    demand.unwant("a", 0)
    demand.returned("a")
    assert (len(demand), demand.next_due()) == (0, math.inf)


def test_a_part_that_somebody_else_stopped_stays_so_and_may_be_started_by_him(demand: Demand) -> None:
    demand.want("a")
    assert not demand.stopped("a")
    assert demand.stage("a") is Stage.DONE
    demand.restarted("a")
    assert demand.stage("a") is Stage.RUNNING
    demand.unwant("a", 0)
    assert demand.due(10) == ["a"]


def test_what_is_wanted_before_the_tree_runs_is_started_by_it_in_order() -> None:
    demand = Demand(10)
    assert not any(demand.want(part) for part in ("b", "a", "c", "b"))
    demand.unwant("c", 0)
    assert demand.opened() == ["b", "a"]
    assert demand.opened() == []


def test_a_tree_that_ends_keeps_the_wants_and_nothing_else(demand: Demand) -> None:
    for part in ("wanted", "lingering", "stopping", "returned"):
        demand.want(part)
    demand.unwant("stopping", 0)
    demand.due(10)
    demand.unwant("lingering", 11)
    demand.returned("returned")
    demand.closed()
    demand.closed()
    assert demand.next_due() == math.inf
    assert not demand.stopped("stopping")  # told late: it makes no difference
    demand.returned("wanted")
    assert not demand.want("new")
    assert list(demand) == ["wanted", "returned", "new"]
    assert demand.opened() == ["wanted", "returned", "new"]


def test_more_cannot_be_taken_back_than_was_wanted(demand: Demand) -> None:
    with pytest.raises(KeyError):
        demand.unwant("a", 0)
    demand.want("a")
    demand.unwant("a", 0)
    with pytest.raises(KeyError):
        demand.unwant("a", 0)


def test_without_a_linger_it_is_due_at_once() -> None:
    demand = Demand(0)
    demand.opened()
    demand.want("a")
    demand.unwant("a", 5)
    assert demand.next_due() == 5
    assert demand.due(5) == ["a"]


def test_what_is_told_of_a_part_that_nobody_knows_makes_no_difference(demand: Demand) -> None:
    demand.returned("a")
    demand.restarted("a")
    assert not demand.stopped("a")
    assert (len(demand), demand.wants("a"), demand.stage("a")) == (0, 0, None)
