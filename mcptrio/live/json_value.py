"""Values as JSON has them: which are equal, and how large they are. Sans-IO.

What is called a value here is made of JSON's own types: dict with string keys, list, str, int, float, bool, None.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple


class Extent(NamedTuple):
    """How large a value is: how many values with those in it, how deep they are nested (from 1), the longest string in it."""

    values: int
    depth: int
    characters: int


def extent_of(value: object, deepest: int) -> Extent:
    """The extent of a value; what lies below level `deepest` + 1 is not looked at."""
    values = depth = characters = 0
    level = [value]
    # Not by recursion: the value has not been judged yet.
    while level and depth <= deepest:
        depth += 1
        values += len(level)
        below: list[object] = []
        for one in level:
            if isinstance(one, str):
                characters = max(characters, len(one))
            elif isinstance(one, list):
                below += one
            elif isinstance(one, dict):
                characters = max(characters, *map(len, one), 0)
                below += one.values()
        level = below
    return Extent(values, depth, characters)


def same(expected: object, found: object) -> bool:
    """Whether two values are equal: numbers by value, everything else by type and value.

    Goes no deeper and no further than `expected` does. `found` may be anything; what is no value equals nothing.
    """
    if expected is None or isinstance(expected, bool):
        return found is expected
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(same, expected, found))
    if isinstance(expected, dict):
        return (
            isinstance(found, dict)
            and len(found) == len(expected)
            and all(name in found and same(value, found[name]) for name, value in expected.items())
        )
    # `==` is Python's, for which True is 1.
    return not isinstance(found, bool) and found == expected


def freeze(value: object) -> Hashable:
    """Something hashable for a value: equal for two values exactly if they are the `same`."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, list):
        return ("list", tuple(map(freeze, value)))
    if isinstance(value, dict):
        return ("object", frozenset((name, freeze(member)) for name, member in value.items()))
    assert value is None or isinstance(value, str | int | float)
    return value


def one_of(values: list[object]) -> Callable[[object], bool]:
    """A test for being the `same` as one of some values. It takes time for lists and objects among them only."""
    if len(values) == 1:
        (expected,) = values
        if isinstance(expected, str):
            return lambda found: found == expected  # what most filters ask
        return lambda found: same(expected, found)
    plain = frozenset(freeze(value) for value in values if not isinstance(value, list | dict))
    compound = [value for value in values if isinstance(value, list | dict)]

    def test(found: object) -> bool:
        if found is None or isinstance(found, str | int | float):
            return freeze(found) in plain
        return any(same(expected, found) for expected in compound)

    return test


_SHOWN = 40
"""How many characters of a string are shown."""

_MOST_NAMED = 3
"""How many members of an object are named."""


def described(value: object) -> str:
    """A value in words, for messages: printable, and of bounded length, whatever it is."""
    if isinstance(value, dict):
        if not value:
            return "an empty object"
        if len(value) > _MOST_NAMED:
            return f"an object of {len(value)} members"
        return f"an object with {', '.join(map(described, value))}"
    if isinstance(value, list):
        return f"a list of {len(value)}" if value else "an empty list"
    if isinstance(value, str):
        if len(value) > _SHOWN:
            return f"{value[:_SHOWN]!r}... ({len(value)} characters)"
        return repr(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() > 64:
        return "a number of very many digits"
    return repr(value)
