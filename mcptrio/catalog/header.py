"""Parameters of tools that HTTP clients repeat in a header, so that proxies can route by them without reading the body.

The property of the input schema carries `x-mcp-header`, and a client of 2026-07-28 then sends `Mcp-Param-{name}`.
Clients drop a tool that breaks a rule of it, so here it is refused. Never for secrets: headers are logged.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mcptrio.catalog.errors import DeclarationError
from mcptrio.catalog.signature import Argument

KEYWORD = "x-mcp-header"

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}\Z")
_KINDS = ("string", "integer", "boolean")
_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_DATA = frozenset({"default", "const", "enum", "examples"})

Headers = Mapping[str, tuple[str, ...]]
"""From a header's name behind `Mcp-Param-` to the path of the property in the arguments."""


@dataclass(frozen=True, slots=True)
class Header:
    """Marks a tool's parameter: `region: Annotated[str, Header("Region")]` is sent as `Mcp-Param-Region` too.

    For parameters of the types str, int and bool, and for a Literal or enum of these; not for `... | None`.
    """

    name: str


def mark(where: str, schema: dict[str, object], arguments: tuple[Argument, ...]) -> None:
    """Put `x-mcp-header` on the properties of marked parameters.

    Raises:
        DeclarationError: a parameter has two headers, or a type that a header cannot have.
    """
    for argument in arguments:
        metadata = getattr(argument.annotation, "__metadata__", ())
        names = [each.name for each in metadata if isinstance(each, Header)]
        if not names:
            continue
        properties = typing.cast("dict[str, dict[str, object]]", schema["properties"])
        definitions = typing.cast("dict[str, dict[str, object]]", schema.get("$defs", {}))
        marked = properties[argument.name]
        kind = _kind(marked, definitions)
        if kind is None or len(names) > 1:
            raise DeclarationError(
                f"{where}: parameter `{argument.name}` cannot be a header: annotate it with one Header(...), and "
                "str, int or bool, not with `| None`"
            )
        properties[argument.name] = {"type": kind, **marked, KEYWORD: names[0]}


def refuse(where: str, arguments: tuple[Argument, ...]) -> None:
    """Raises `DeclarationError` for a marked parameter, where no header can be."""
    for argument in arguments:
        if any(isinstance(each, Header) for each in getattr(argument.annotation, "__metadata__", ())):
            raise DeclarationError(
                f"{where}: parameter `{argument.name}` cannot be a header: only a tool's parameter can, and in an "
                f"input_schema of yours it is `{KEYWORD}` that says so"
            )


def headers_of(where: str, schema: Mapping[str, object]) -> Headers:
    """The headers that an input schema asks for.

    Raises:
        DeclarationError: a name is no token or stands there twice, or the property is none that a client may mirror.
    """
    headers: dict[str, tuple[str, ...]] = {}
    for node, path in _find(schema, ()):
        name = node[KEYWORD]
        if not isinstance(name, str) or _TOKEN.match(name) is None:
            raise DeclarationError(
                f"{where}: {name!r} cannot be the name of a header: use letters, digits and -"
            )
        if name.lower() in map(str.lower, headers):
            raise DeclarationError(f"{where}: two parameters have the header {name!r}; give one another name")
        if not path or node.get("type") not in _KINDS:
            raise DeclarationError(
                f"{where}: `{KEYWORD}` {name!r} must stand on a property of type string, integer or boolean that is "
                "reached by `properties` alone"
            )
        headers[name] = path
    return headers


def _find(
    node: object, path: tuple[str, ...] | None
) -> Iterator[tuple[Mapping[str, object], tuple[str, ...] | None]]:
    """The schemas with the keyword, at any depth; the path is None for what `properties` alone do not reach."""
    if isinstance(node, list | tuple):
        for each in node:
            yield from _find(each, None)
    if not isinstance(node, Mapping):
        return
    if KEYWORD in node:
        yield node, path
    for keyword, value in node.items():
        if keyword in _MAPS and isinstance(value, Mapping):
            for name, each in value.items():
                reached = path is not None and keyword == "properties"
                yield from _find(each, (*path, name) if reached and path is not None else None)
        elif keyword not in _DATA:
            yield from _find(value, None)


def _kind(schema: Mapping[str, object], definitions: Mapping[str, Mapping[str, object]]) -> str | None:
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return _kind(definitions[reference.rpartition("/")[2]], definitions)
    # msgspec gives enums and Literals no type, but clients look for one.
    values = schema.get("enum")
    if isinstance(values, list) and "type" not in schema:
        types = {type(value) for value in values}
        return {str: "string", int: "integer"}.get(types.pop()) if len(types) == 1 else None
    kind = schema.get("type")
    return kind if kind in _KINDS and isinstance(kind, str) else None
