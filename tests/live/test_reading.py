"""Sets of places as integers, against sets of numbers."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mcptrio.live.reading import ACROSS, RESERVED, VARIABLE, WITHIN, Reading

URIS = st.lists(st.sampled_from("aaaab/?#"), max_size=12).map("".join)
SETS = st.sets(st.integers(0, 12), min_size=1)


def reached(uri: str, places: set[int], fits: Callable[[str], bool]) -> set[int]:
    """Where what begins at one of the places may end, by trying all ends."""
    return {
        end
        for place in places
        for end in range(place, len(uri) + 1)
        if place <= len(uri) and fits(uri[place:end])
    }


def as_set(places: int) -> set[int]:
    return {place for place in range(places.bit_length()) if places >> place & 1}


def within(uri: str, places: set[int]) -> tuple[set[int], int]:
    """Only the places that are in the URI, at least the first."""
    inside = {place for place in places if place <= len(uri)} or {0}
    return inside, sum(1 << place for place in inside)


@settings(max_examples=300)
@given(uri=URIS, places=SETS)
def test_a_wildcard_reaches_just_what_trying_all_ends_finds(uri: str, places: set[int]) -> None:
    inside, bits = within(uri, places)
    reading = Reading(uri)
    for wildcard, fits in {
        WITHIN: lambda text: "/" not in text,
        ACROSS: lambda text: True,
        VARIABLE: lambda text: text != "" and not set(text) & set("/?#"),
        RESERVED: lambda text: text != "",
        "{?}": lambda text: len(text) == 1 and text != "/",
        "{?????}": lambda text: len(text) == 5 and "/" not in text,
    }.items():
        assert as_set(reading.after_wildcard(bits, wildcard)) == reached(uri, inside, fits), wildcard


@settings(max_examples=300)
@given(uri=URIS, places=SETS, literal=st.sampled_from(["a", "aa", "aaa", "ab", "/a", "aba"]))
@example(uri="aaa", places={0, 1}, literal="aa")
def test_a_literal_is_found_at_all_its_places_overlapping_ones_too(
    uri: str, places: set[int], literal: str
) -> None:
    inside, bits = within(uri, places)
    after = Reading(uri).after_literal(bits, literal)
    assert as_set(after) == reached(uri, inside, lambda text: text == literal)
