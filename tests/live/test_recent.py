"""What has changed lately, against a model that forgets nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcptrio.live import Change, Hub, InvalidCursor
from mcptrio.live.recent import RecentChanges

URIS = [f"a:{number}" for number in range(8)]
STEPS = st.lists(st.sampled_from([*URIS, "look", "look", "look", "rebuild"]), max_size=60)


def publish(hub: Hub, *uris: str) -> None:
    for uri in uris:
        hub.publish(Change(uri=uri))


@settings(max_examples=200)
@given(steps=STEPS, most=st.integers(1, 5), before=st.integers(0, 3))
def test_every_cursor_tells_exactly_what_changed_after_it_or_that_this_is_not_known(
    steps: list[str], most: int, before: int
) -> None:
    hub = Hub()
    publish(hub, *URIS[:before])
    recent = RecentChanges(hub, most)
    given_out: dict[str, set[str]] = {}
    """By cursor, what has changed since it was given out."""
    for step in steps:
        if step == "look":
            given_out[recent.cursor()] = set()
        elif step == "rebuild":
            hub.rebuild()
            assert all(recent.changed_since(cursor, URIS) is None for cursor in given_out)
            given_out.clear()
        else:
            publish(hub, step)
            for changed in given_out.values():
                changed.add(step)
        for cursor, changed in given_out.items():
            told = recent.changed_since(cursor, URIS)
            if told is None:
                assert len(changed) > most, "as many as were promised were not known"
            else:
                assert told == [uri for uri in URIS if uri in changed]
        assert len(recent._offsets) <= 2 * most


def test_a_cursor_of_now_knows_of_no_change() -> None:
    hub = Hub()
    recent = RecentChanges(hub)
    publish(hub, "a:1")
    cursor = recent.cursor()
    assert recent.changed_since(cursor, ["a:1"]) == []
    publish(hub, "a:2", "a:1", "a:3")
    assert recent.changed_since(cursor, ["a:3", "a:1", "a:9"]) == ["a:3", "a:1"]


def test_a_change_before_the_first_look_into_a_new_epoch_is_in_no_cursor_of_it() -> None:
    hub = Hub()
    recent = RecentChanges(hub)
    publish(hub, *URIS)
    hub.rebuild()
    publish(hub, "a:1")
    cursor = recent.cursor()
    publish(hub, "a:2")
    assert recent.changed_since(cursor, URIS) == ["a:2"]


def test_what_was_before_it_began_is_not_known() -> None:
    hub = Hub()
    publish(hub, "a:1")
    assert RecentChanges(hub).changed_since(f"{hub.epoch}.0", URIS) is None


@pytest.mark.parametrize(
    "made_up",
    ["", "x", "1", "0123456789abcdef", "0123456789abcdef.", "0123456789abcdef.-1", "0123456789abcdeg.1"],
)
def test_what_is_no_cursor_is_refused(made_up: str) -> None:
    with pytest.raises(InvalidCursor, match="no cursor"):
        RecentChanges(Hub()).changed_since(made_up, URIS)


@pytest.mark.parametrize("more", [" ", "\n", "0" * 30, "1"])
def test_a_cursor_that_was_changed_is_refused(more: str) -> None:
    recent = RecentChanges(Hub())
    with pytest.raises(InvalidCursor):
        recent.changed_since(recent.cursor() + more, URIS)


def test_a_cursor_that_is_yet_to_come_is_refused() -> None:
    hub = Hub()
    recent = RecentChanges(hub)
    with pytest.raises(InvalidCursor):
        recent.changed_since(f"{hub.epoch}.1", URIS)


def test_a_cursor_of_another_server_is_a_gap() -> None:
    assert RecentChanges(Hub()).changed_since(RecentChanges(Hub()).cursor(), URIS) is None
