"""From a message to what it says about which resources. Sans-IO, and pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from mcptrio.catalog import UriTemplate
from mcptrio.live import check_uri
from mcptrio.live.change import DELETED
from mcptrio.sources.pointer import Pointer, PointerError, described
from mcptrio.sources.websocket.route import OTHERS, Route

MAX_ID = 1000
"""Longest event id, in characters: ids are remembered."""

_SHOWN = 60


class BadMessage(Exception):
    """A message of which nothing can be used; the text says why, and shows at most an id of it."""


class Fact(Struct, frozen=True):
    """What an event says about one resource. `content` is its JSON, and empty where the change is `deleted`."""

    uri: str
    template: str
    name: str
    change: str
    content: bytes
    value: object
    type: str = OTHERS
    """The type that the route is for."""


class Event(Struct, frozen=True):
    """What a message says. No `id` where the settings name none; no facts where no route is for its type."""

    id: str | None
    facts: tuple[Fact, ...]


class Router:
    """Knows where in a message type, id and content are, and where events of each type go."""

    def __init__(self, routes: Sequence[Route], *, type: str | None, id: str | None, data: str) -> None:
        """The arguments are the settings of these names, checked."""
        self._type = None if type is None else Pointer(type)
        self._id = None if id is None else Pointer(id)
        self._ways: dict[str, list[_Way]] = {}
        for route in routes:
            self._ways.setdefault(route.type, []).append(_Way(route, data))

    def event(self, text: str) -> Event:
        """What a message says.

        A message whose type has no route, or which has no type, goes to the routes for all others; without such
        routes its event has no facts. An event is used as a whole or not at all.

        Raises:
            BadMessage: it is no JSON, has no usable id though the settings name one, or lacks what a route needs.
        """
        try:
            message = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise BadMessage(f"is no JSON: {str(error)[:200]}") from None
        except RecursionError:
            raise BadMessage("is nested too deeply") from None
        ways = self._ways_of(message)
        if not ways:
            return Event(None, ())
        try:
            id = None if self._id is None else _text_at(self._id, message, "id")
            if id is not None and len(id) > MAX_ID:
                raise BadMessage(f"has an id of {len(id)} characters, more than {MAX_ID}")
            return Event(id, tuple(way.fact(message) for way in ways))
        except ValueError as error:
            # Numbers beyond what Python prints, halves of surrogate pairs: nobody's ids, but a server can send them.
            raise BadMessage(f"has what cannot be used: {str(error)[:200]}") from None

    def _ways_of(self, message: object) -> Sequence[_Way]:
        others = self._ways.get(OTHERS, ())
        if self._type is None:
            return others
        try:
            type = _text_at(self._type, message, "type")
        except (BadMessage, ValueError):
            return others
        # Nobody can name a type `*` in a route: it is for all others.
        return others if type == OTHERS else self._ways.get(type, others)


class _Way:
    """A route, made ready."""

    def __init__(self, route: Route, data: str) -> None:
        self._uri = route.uri
        self._change = route.change
        self._type = route.type
        self._template = UriTemplate(route.uri)
        self._pointers = {name: Pointer(route.values[name]) for name in self._template.variables}
        self._data = Pointer(data if route.data is None else route.data)

    def fact(self, message: object) -> Fact:
        values = {name: _text_at(pointer, message, name) for name, pointer in self._pointers.items()}
        uri = self._template.expand(values)
        try:
            check_uri(uri)
        except ValueError as error:
            raise BadMessage(f"has values that make no URI of {self._uri}: {error}") from None
        if self._template.match(uri) != values:
            raise BadMessage(f"has values that cannot be read back from their URI, {_shown(uri)}")
        name = "/".join(values.values())
        if self._change == DELETED:
            return Fact(uri, self._uri, name, DELETED, b"", None, self._type)
        try:
            value = self._data.resolve(message)
        except PointerError as error:
            raise BadMessage(f"has no content for {_shown(uri)}: {error}") from None
        return Fact(uri, self._uri, name, self._change, msgspec.json.encode(value), value, self._type)


def _text_at(pointer: Pointer, message: object, what: str) -> str:
    try:
        value = pointer.resolve(message)
    except PointerError as error:
        raise BadMessage(f"has no {what}: {error}") from None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadMessage(f"has no {what}: at {pointer.text} there is {described(value)}")
    if value == "":
        raise BadMessage(f"has no {what}: the string at {pointer.text} is empty")
    return str(value)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
