"""The order of stopping."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mcptrio.supervision.order import stop_groups


def test_everything_stops_alone_in_reverse_order_but_temporary_neighbours_together() -> None:
    assert stop_groups("aBCdeFG", str.isupper) == [["G", "F"], ["e"], ["d"], ["C", "B"], ["a"]]


def test_nothing_started_is_nothing_to_stop() -> None:
    assert stop_groups("", str.isupper) == []


@given(st.lists(st.tuples(st.integers(), st.booleans())))
def test_groups_joined_are_the_reverse_order_and_only_temporary_ones_share_one(
    started: list[tuple[int, bool]],
) -> None:
    groups = stop_groups(started, lambda item: item[1])
    assert [item for group in groups for item in group] == started[::-1]
    assert all(len(group) == 1 or all(item[1] for item in group) for group in groups)
    assert not any(one[0][1] and other[0][1] for one, other in pairwise(groups))
