"""`key=value` on the command line becomes a tool's arguments, by the tool's own schema."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

import msgspec

from mcptrio.cli.exits import UserError

_DEPTH = 8
Object = dict[str, object]


def tool_arguments(words: Iterable[str], schema: Mapping[str, object]) -> Object:
    """The arguments that the words give: text where the schema wants text, else JSON where it is JSON.

    Raises:
        UserError: a word is no `key=value`, a key comes twice, or a value cannot be what the schema wants.
    """
    declared = schema.get("properties")
    properties: Mapping[str, object] = declared if isinstance(declared, dict) else {}
    arguments: Object = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise UserError(f"{word!r} is no argument: write it as name=value")
        if key in arguments:
            raise UserError(f"{key} is given twice")
        arguments[key] = _value(key, text, types_of(properties.get(key, {}), schema))
    required = schema.get("required")
    missing = [each for each in required if each not in arguments] if isinstance(required, list) else []
    if missing:
        raise UserError(
            f"missing: {' '.join(f'{each}=...' for each in missing)}{_unknown(arguments, properties)}"
        )
    return arguments


def types_of(schema: object, root: Mapping[str, object], depth: int = 0) -> frozenset[str]:
    """The JSON types that a schema admits as far as it says so; empty if it does not."""
    if not isinstance(schema, dict) or depth > _DEPTH:
        return frozenset()
    declared = schema.get("type")
    if isinstance(declared, str):
        return frozenset((declared,))
    if isinstance(declared, list):
        return frozenset(each for each in declared if isinstance(each, str))
    for key in ("anyOf", "oneOf"):
        members = schema.get(key)
        if isinstance(members, list):
            each_has = [types_of(each, root, depth + 1) for each in members]
            return frozenset().union(*each_has) if all(each_has) else frozenset()
    if "const" in schema:
        return frozenset((_type_of(schema["const"]),))
    choices = schema.get("enum")
    if isinstance(choices, list):
        return frozenset(_type_of(each) for each in choices)
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/"):
        target: object = root
        for step in reference[2:].split("/"):
            target = (
                target.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(target, dict) else None
            )
        return types_of(target, root, depth + 1)
    return frozenset()


def _value(key: str, text: str, types: frozenset[str]) -> object:
    try:
        parsed: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        if not types or "string" in types:
            return text
        raise UserError(f"{key} must be JSON of type {_or(types)}, not {text[:80]!r}") from None
    if not types or _type_of(parsed) in types or (_type_of(parsed) == "integer" and "number" in types):
        # A text that is JSON of type string keeps its quotes where only text is wanted.
        return text if types == {"string"} else parsed
    if "string" in types:
        return text
    if (
        _type_of(parsed) == "number"
        and "integer" in types
        and isinstance(parsed, float)
        and parsed.is_integer()
    ):
        return int(parsed)
    raise UserError(f"{key} must be JSON of type {_or(types)}, not {_type_of(parsed)}: {text[:80]}")


def _type_of(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def _or(types: frozenset[str]) -> str:
    return " or ".join(sorted(types))


def _unknown(arguments: Object, properties: Mapping[str, object]) -> str:
    """A hint for a misspelled name; the server says itself what it does not take."""
    for key in arguments:
        if key not in properties:
            close = difflib.get_close_matches(key, properties, 1)
            if close:
                return f" (is {key} meant to be {close[0]}?)"
    return ""
