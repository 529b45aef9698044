"""Filters of subscriptions: which changes a client wants to be told of. Sans-IO."""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import msgspec

from mcptrio.live.change import Change
from mcptrio.live.json_value import described, extent_of, freeze, one_of, same
from mcptrio.live.pointer import MISSING, Pointer
from mcptrio.live.view import View
from mcptrio.live.wildcard import Wildcard

MOST_NODES = 64
"""Filters in one filter: itself, and all within, each `and`, `or` and `not` too."""
MOST_DEPTH = 8
"""How deep filters are nested, and the values in them; a filter with none in it is 1 deep."""
MOST_CHARACTERS = 1024
"""Longest string: pointers, kinds, values, and names in values."""
MOST_VALUES = 256
"""Values that one `in` compares with, or kinds in one `kind`; those within lists and objects are counted."""
MOST_BYTES = 16_384
"""Size of the whole as JSON."""

_SHOWN = 80

_Test = Callable[[View], bool]
_Judge = Callable[[object], bool]


class InvalidFilter(ValueError):
    """What was given is no filter. The text begins with the place in it and says what would be one."""


class Filter:
    """A filter that was understood. Immutable.

    `key` is equal for filters that differ in spelling only, so that a change is judged once per key. Spelling is: the
    order of alternatives and repeated ones; an `and` or `or` of one filter, or within its like; `not` of a `not`; `eq`
    and an `in` of one value; 1 and 1.0. Filters with equal keys match the same changes.
    """

    __slots__ = ("__weakref__", "_test", "key", "nodes", "uses_data")

    def __init__(self, key: Hashable, test: _Test, *, nodes: int, uses_data: bool) -> None:
        self._test = test
        self.key = key
        self.nodes = nodes
        """How many filters it was given as, itself included: what it may cost a change, and its owner's bound counts."""
        self.uses_data = uses_data
        """Whether more than a change's kind decides."""

    def matches(self, change: Change) -> bool:
        """Whether a change is wanted. Never raises, whatever its data is."""
        return self._test(View(change))

    def judge(self, view: View) -> bool:
        """The same, for a change that several filters judge: its data is converted once."""
        return self._test(view)


def parse_filter(value: object, where: str = "filter") -> Filter:
    """Understand a filter that was decoded from JSON; docs/extension.md tells what there is. `where` is for messages.

    Nothing of `value` is kept. Time is linear in its size.

    Raises:
        InvalidFilter: it is none, or beyond a bound. Nothing else is raised, whatever is given.
    """
    try:
        text = msgspec.json.encode(value)
        document = msgspec.json.decode(text)
    except Exception:
        raise InvalidFilter(f"{where}: this cannot be written as JSON, and a filter can") from None
    if len(text) > MOST_BYTES:
        raise InvalidFilter(f"{where}: {len(text)} bytes as JSON, at most {MOST_BYTES} are allowed")
    parser = _Parser(where)
    node = parser.parse(document, where, 1)
    return Filter(node.key, node.test, nodes=parser.nodes, uses_data=node.uses_data)


class _Node(NamedTuple):
    key: tuple[Hashable, ...]
    """Its operator is the first."""
    test: _Test
    uses_data: bool
    inner: tuple[_Node, ...] = ()
    """What an `and`, `or` or `not` is made of."""


class _Parser:
    """Reads one filter from JSON's types, and counts what is in it."""

    def __init__(self, where: str) -> None:
        self._where = where
        self.nodes = 0

    def parse(self, value: object, where: str, depth: int) -> _Node:
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise InvalidFilter(f"{self._where}: more than {MOST_NODES} filters in one")
        if depth > MOST_DEPTH:
            raise InvalidFilter(f"{self._where}: filters nested more than {MOST_DEPTH} deep")
        if not isinstance(value, dict):
            raise InvalidFilter(f"{where}: a filter is an object, not {described(value)}")
        if len(value) != 1:
            raise InvalidFilter(
                f"{where}: a filter has exactly one member, not {len(value)}: join filters by 'and'"
            )
        ((name, operand),) = value.items()
        inside = f"{where}.{name}"
        if name in ("and", "or"):
            if not isinstance(operand, list) or not operand:
                raise InvalidFilter(f"{inside}: a list of at least one filter, not {described(operand)}")
            return _joined(
                name,
                [self.parse(one, f"{inside}[{index}]", depth + 1) for index, one in enumerate(operand)],
            )
        if name == "not":
            return _negated(self.parse(operand, inside, depth + 1))
        if name == "kind":
            return _kind(operand, inside)
        if name == "exists":
            pointer = _pointer(operand, inside)
            return _on_data((name, pointer.text), pointer, lambda found: found is not MISSING)
        if name not in _OPERATORS:
            raise InvalidFilter(f"{where}: {name[:_SHOWN]!r} is no filter: {', '.join(_NAMES)} are")
        return _operation(name, operand, inside)


def _joined(name: str, nodes: list[_Node]) -> _Node:
    distinct: dict[Hashable, _Node] = {}
    for node in nodes:
        for one in node.inner if node.key[0] == name else (node,):
            distinct[one.key] = one
    # What the kind decides is asked first: it may spare the conversion of the data.
    inner = tuple(sorted(distinct.values(), key=lambda node: node.uses_data))
    if len(inner) == 1:
        return inner[0]
    tests = [node.test for node in inner]
    decisive = name == "or"

    def test(view: View) -> bool:
        for one in tests:
            if one(view) is decisive:
                return decisive
        return not decisive

    return _Node((name, frozenset(distinct)), test, inner[-1].uses_data, inner)


def _negated(node: _Node) -> _Node:
    if node.key[0] == "not":
        return node.inner[0]
    test = node.test
    return _Node(("not", node.key), lambda view: not test(view), node.uses_data, (node,))


def _kind(operand: object, where: str) -> _Node:
    kinds = _list(operand if isinstance(operand, list) else [operand], where)
    wanted = frozenset(_string(kind, where) for kind in kinds)
    return _Node(("kind", wanted), lambda view: view.change.kind in wanted, uses_data=False)


def _on_data(key: tuple[Hashable, ...], pointer: Pointer, judge: _Judge) -> _Node:
    find = pointer.find
    return _Node(key, lambda view: judge(find(view.data)), uses_data=True)


def _operation(name: str, operand: object, where: str) -> _Node:
    if not isinstance(operand, dict) or len(operand) != 1:
        raise InvalidFilter(f"{where}: an object of one pointer and its value, not {described(operand)}")
    ((text, value),) = operand.items()
    pointer = _pointer(text, where)
    key, judge = _OPERATORS[name](value, where)
    # An `eq` is an `in` of one value.
    return _on_data(("in" if name == "eq" else name, pointer.text, key), pointer, judge)


def _equal(value: object, where: str) -> tuple[Hashable, _Judge]:
    return _in([value], where)


def _in(value: object, where: str) -> tuple[Hashable, _Judge]:
    values = _list(value, where)
    # The list itself is one value, and one level.
    _check(values, where, around=1)
    return frozenset(map(freeze, values)), one_of(values)


def _contains(value: object, where: str) -> tuple[Hashable, _Judge]:
    _check(value, where)
    if not isinstance(value, str):
        return freeze(value), lambda found: isinstance(found, list) and any(same(value, one) for one in found)
    return value, lambda found: isinstance(found, str | list) and value in found


def _ordered(compare: Callable[[Any, Any], bool]) -> _Operator:
    def make(value: object, where: str) -> tuple[Hashable, _Judge]:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise InvalidFilter(f"{where}: a number or a string to compare with, not {described(value)}")
        if isinstance(value, str):
            bound = _string(value, where)
            return bound, lambda found: isinstance(found, str) and compare(found, bound)
        return (
            value,
            lambda found: (
                isinstance(found, int | float) and not isinstance(found, bool) and compare(found, value)
            ),
        )

    return make


def _prefix(value: object, where: str) -> tuple[Hashable, _Judge]:
    prefix = _string(value, where)
    return prefix, lambda found: isinstance(found, str) and found.startswith(prefix)


def _suffix(value: object, where: str) -> tuple[Hashable, _Judge]:
    suffix = _string(value, where)
    return suffix, lambda found: isinstance(found, str) and found.endswith(suffix)


def _glob(value: object, where: str) -> tuple[Hashable, _Judge]:
    wildcard = Wildcard(_string(value, where))
    return wildcard.text, lambda found: isinstance(found, str) and wildcard.matches(found)


_Operator = Callable[[object, str], tuple[Hashable, _Judge]]
"""Makes, of what a filter compares with, its part of the key and the judge of what is found."""

_OPERATORS: dict[str, _Operator] = {
    "eq": _equal,
    "in": _in,
    "lt": _ordered(operator.lt),
    "le": _ordered(operator.le),
    "gt": _ordered(operator.gt),
    "ge": _ordered(operator.ge),
    "prefix": _prefix,
    "suffix": _suffix,
    "contains": _contains,
    "glob": _glob,
}
_NAMES = ("kind", *_OPERATORS, "exists", "and", "or", "not")


def _string(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise InvalidFilter(f"{where}: a string, not {described(value)}")
    if len(value) > MOST_CHARACTERS:
        raise InvalidFilter(
            f"{where}: a string of {len(value)} characters, at most {MOST_CHARACTERS} are allowed"
        )
    return value


def _pointer(value: object, where: str) -> Pointer:
    text = _string(value, where)
    try:
        return Pointer(text)
    except ValueError as error:
        raise InvalidFilter(f"{where}: {error}") from None


def _list(value: object, where: str) -> list[object]:
    if not isinstance(value, list) or not value:
        raise InvalidFilter(f"{where}: a list of at least one value, not {described(value)}")
    if len(value) > MOST_VALUES:
        raise InvalidFilter(f"{where}: {len(value)} values, at most {MOST_VALUES} are allowed")
    return value


def _check(value: object, where: str, around: int = 0) -> None:
    """Hold a value, within `around` lists of ours, to the bounds."""
    extent = extent_of(value, MOST_DEPTH + around)
    if extent.depth - around > MOST_DEPTH:
        raise InvalidFilter(f"{where}: a value nested more than {MOST_DEPTH} deep")
    if extent.values - around > MOST_VALUES:
        raise InvalidFilter(f"{where}: {extent.values - around} values, at most {MOST_VALUES} are allowed")
    if extent.characters > MOST_CHARACTERS:
        raise InvalidFilter(
            f"{where}: a string of {extent.characters} characters, at most {MOST_CHARACTERS} are allowed"
        )
