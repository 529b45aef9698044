"""JSON schemas (2020-12) of Python types, with the root inlined and everything else in `$defs` under it.

MCP wants `type: object` at the root of input schemas, and the older revision of output schemas as well, where
msgspec gives a root that is only a `$ref`. Nothing refers outside the document.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from mcptrio.protocol.types import Object

_PREFIX = "#/$defs/"
_OF_THE_DOCUMENT = ("$schema", "$defs")


def schema_of(type_: object) -> Object:
    """The schema of a type.

    Raises:
        TypeError: when the type has no JSON form.
    """
    (root,), definitions = msgspec.json.schema_components(
        [type_], schema_hook=_anything, ref_template=_PREFIX + "{name}"
    )
    schema: Object = dict(root)
    reference = root.get("$ref")
    if isinstance(reference, str):
        name = reference.removeprefix(_PREFIX)
        schema = {**definitions[name], **{key: value for key, value in root.items() if key != "$ref"}}
        if reference not in _references([definitions, schema]):
            definitions = {key: value for key, value in definitions.items() if key != name}
    if definitions:
        schema["$defs"] = definitions
    return schema


def wrapped(schema: Object) -> Object:
    """The schema of `{"result": value}`, for a value whose schema is not an object's."""
    inner = {key: value for key, value in schema.items() if key not in _OF_THE_DOCUMENT}
    outer: Object = {"type": "object", "properties": {"result": inner}, "required": ["result"]}
    return outer | {key: value for key, value in schema.items() if key in _OF_THE_DOCUMENT}


def can_be_wrapped(schema: Object) -> bool:
    """Whether every reference inside still leads where it did when the schema is `wrapped`."""
    return all(
        reference.startswith(_PREFIX) or (reference != "#" and not reference.startswith("#/"))
        for reference in _references(schema)
    )


def is_object(schema: Object) -> bool:
    """Whether every value of the schema is a JSON object, by its root alone."""
    return schema.get("type") == "object"


def _anything(type_: type) -> dict[str, object]:
    # msgspec knows Any, but takes `object` for a class of ours, and an empty schema for none.
    if type_ is object:
        return {"description": "Any JSON value"}
    raise NotImplementedError


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        reference = node.get("$ref")
        if isinstance(reference, str):
            yield reference
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _references(value)
