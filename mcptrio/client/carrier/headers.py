"""What HTTP headers repeat of a message, in 2026-07-28. Sans-IO. Specification: basic/transports/streamable-http."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from mcptrio.protocol import Notification, Request, RequestId
from mcptrio.protocol.envelope import VERSION_KEY

MAX_TOOLS = 1000
"""Of how many tools it is kept which arguments go into headers."""

_SENTINEL = ("=?base64?", "?=")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_MAX_INTEGER = 2**53 - 1
_MAX_DEPTH = 16

Header = tuple[str, bytes]


class Seen(Struct, frozen=True):
    """What a carrier needs to see of a message's params. What has a wrong type is as if it were not there."""

    version: str | None = None
    name: str | None = None
    arguments: Raw | None = None
    request_id: RequestId | None = None


class _Meta(Struct):
    version: object = field(default=UNSET, name=VERSION_KEY)


class _Params(Struct):
    meta: _Meta | UnsetType | None = field(default=UNSET, name="_meta")
    name: object = UNSET
    uri: object = UNSET
    arguments: Raw | UnsetType = UNSET
    request_id: object = field(default=UNSET, name="requestId")


_params = msgspec.json.Decoder(_Params)


def look(message: Request | Notification) -> Seen:
    """Look into a message's params; anything is allowed there."""
    if message.params is None:
        return Seen()
    try:
        params = _params.decode(message.params)
    except (msgspec.MsgspecError, RecursionError):
        return Seen()
    version = params.meta.version if isinstance(params.meta, _Meta) else None
    name = params.uri if _NAMED_BY.get(message.method) == "uri" else params.name
    id = params.request_id
    return Seen(
        version=version if isinstance(version, str) and _TOKEN.fullmatch(version) else None,
        name=name if isinstance(name, str) and message.method in _NAMED_BY else None,
        arguments=None if params.arguments is UNSET else params.arguments,
        request_id=id if isinstance(id, int | str) and not isinstance(id, bool) else None,
    )


def header_value(text: str) -> bytes:
    """A text as a header carries it: as it is where it can, else in Base64 between marks."""
    plain = text.isascii() and text.isprintable() and text == text.strip(" ")
    if plain and not text.startswith(_SENTINEL[0]):
        return text.encode()
    coded = base64.b64encode(text.encode("utf-8", "surrogatepass"))
    return _SENTINEL[0].encode() + coded + _SENTINEL[1].encode()


class Mirror:
    """Which arguments of which tools go into headers, as the newest `tools/list` said."""

    def __init__(self) -> None:
        self._tools: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {}

    def learn(self, result: Raw) -> None:
        """Take it from a result of `tools/list`, whatever that holds."""
        try:
            tools = msgspec.json.decode(result, type=_Tools).tools
        except (msgspec.MsgspecError, RecursionError):
            return
        for tool in tools:
            try:
                marks = tuple(marked(tool.input_schema))
            except ValueError:
                marks = ()
            if marks and (tool.name in self._tools or len(self._tools) < MAX_TOOLS):
                self._tools[tool.name] = marks
            elif not marks:
                self._tools.pop(tool.name, None)

    def headers(self, tool: str, arguments: Raw | None) -> list[Header]:
        """The headers of a call."""
        marks = self._tools.get(tool)
        if marks is None or arguments is None:
            return []
        try:
            given = msgspec.json.decode(arguments)
        except (msgspec.MsgspecError, RecursionError):
            return []  # the server will say what it thinks of it
        found: list[Header] = []
        for name, path in marks:
            value = given
            for part in path:
                value = value.get(part) if isinstance(value, dict) else None
            if (text := _as_text(value)) is not None:
                found.append((f"Mcp-Param-{name}", header_value(text)))
        return found


class _Tool(Struct):
    name: str
    input_schema: object = field(default=None, name="inputSchema")


class _Tools(Struct):
    tools: list[_Tool]


def marked(schema: object) -> list[tuple[str, tuple[str, ...]]]:
    """The marks (`x-mcp-header`) in a tool's schema: the name of each and the path to its argument.

    Raises:
        ValueError: one is no token, is given twice, or stands on what is no string, integer or boolean.
    """
    marks = list(_marks(schema, ()))
    names = [name.lower() for name, _ in marks]
    if len(set(names)) < len(names):
        raise ValueError("two arguments are marked with the same x-mcp-header")
    return marks


def can_be_marked(schema: object) -> bool:
    """Whether the marks of a tool's schema, if there are any, are as they should be."""
    try:
        marked(schema)
    except ValueError:
        return False
    return True


def _marks(schema: object, path: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict) or len(path) >= _MAX_DEPTH:
        return
    for key, each in properties.items():
        if not isinstance(each, dict):
            continue
        if "x-mcp-header" in each:
            name = each["x-mcp-header"]
            if not isinstance(name, str) or _TOKEN.fullmatch(name) is None:
                raise ValueError(f"x-mcp-header of {key!r} is no name of a header")
            if each.get("type") in ("number", "object", "array"):
                raise ValueError(f"x-mcp-header of {key!r} is on a {each['type']}")
            yield name, (*path, key)
        yield from _marks(each, (*path, key))


def _as_text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int):
        return str(value) if abs(value) <= _MAX_INTEGER else None
    return value if isinstance(value, str) else None
