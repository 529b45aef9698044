"""A form that a user fills in: what the client shows of a type, and what comes back as that type.

MCP's forms are flat: strings, numbers, booleans, and choices of strings (one or several). A type is a Struct or a
dataclass with such fields; a schema says what a type cannot, such as titles of choices.
"""

from __future__ import annotations

import datetime
import enum
import functools
import typing
from collections.abc import Hashable, Mapping, Sequence
from typing import Annotated, Generic, Literal, TypeVar, cast

import msgspec
from msgspec import NODEFAULT, UNSET, Meta, Struct, UnsetType

from mcptrio.catalog.errors import DeclarationError
from mcptrio.catalog.schema import schema_of
from mcptrio.protocol.types import Object

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_ANY = {"type", "title", "description", "default"}
_KNOWN = {
    "string": _ANY | {"minLength", "maxLength", "format", "enum", "oneOf", "enumNames"},
    "integer": _ANY | {"minimum", "maximum"},
    "number": _ANY | {"minimum", "maximum"},
    "boolean": _ANY,
    "array": _ANY | {"minItems", "maxItems", "items"},
}
_FORMATS = ("email", "uri", "date", "date-time")
_FIELDS = "its fields are str, int, float, bool, date, datetime, or choices (a Literal or Enum of strings, or a list of one)"


class Form(Generic[T_co]):
    """One type's form: `schema` is what clients are shown."""

    def __init__(self, schema: Object, type_: type[T_co]) -> None:
        self.schema = schema
        self._type = type_

    def read(self, content: Mapping[str, object]) -> T_co:
        """What the user has filled in; what was left out has the field's default.

        Raises:
            msgspec.ValidationError: it does not fit.
        """
        # To JSON Schema 3.0 is an integer, and some clients know no others.
        integral = {
            name: int(value) if isinstance(value, float) and value.is_integer() else value
            for name, value in content.items()
        }
        return msgspec.convert(integral, self._type)


def form_of(type_: type[T]) -> Form[T]:
    """The form of a Struct or dataclass.

    Raises:
        DeclarationError: naming the field that no form can show.
    """
    return Form(_schema_of(cast("Hashable", type_)), type_)


@functools.lru_cache(maxsize=512)
def _schema_of(type_: Hashable) -> Object:
    shown = getattr(type_, "__name__", None) or str(type_)
    try:
        schema = schema_of(type_)
    except Exception as error:
        raise DeclarationError(f"{shown} cannot be asked for: {error}; {_FIELDS}") from None
    properties = schema.get("properties")
    if schema.get("type") != "object" or not isinstance(properties, dict):
        raise DeclarationError(f"{shown} cannot be asked for: make it a Struct or dataclass; {_FIELDS}")
    definitions = cast("dict[str, Object]", schema.get("$defs", {}))
    leaves = _leaves_of_fields(type_)
    flat: Object = {
        name: _checked(f"{shown}.{name}", _flat(dict(each), definitions, leaves.get(name, [])))
        for name, each in properties.items()
    }
    shape: Object = {"type": "object", "properties": flat}
    if schema.get("required"):
        shape["required"] = schema["required"]
    return shape


def form_of_schema(schema: Mapping[str, object]) -> Form[dict[str, object]]:
    """The form that a schema describes. It is sent as it is; what is read are the properties that it names.

    Raises:
        DeclarationError: naming the property that no form can show.
    """
    properties = schema.get("properties")
    if schema.get("type") != "object" or not isinstance(properties, Mapping):
        raise DeclarationError("a form's schema is an object: {'type': 'object', 'properties': {...}}")
    required = schema.get("required", ())
    fields: list[tuple[str, object, object]] = []
    names: dict[str, str] = {}
    for number, (name, each) in enumerate(properties.items()):
        type_ = _type_of(_checked(name, dict(each)))
        names[f"f{number}"] = name
        if isinstance(required, list | tuple) and name in required:
            fields.append((f"f{number}", type_, NODEFAULT))
        else:
            fields.append((f"f{number}", type_ | UnsetType, UNSET))
    struct = msgspec.defstruct(
        "Form", cast("list[tuple[str, type, object]]", fields), kw_only=True, rename=names
    )
    return _SchemaForm(dict(schema), struct, names)


class _SchemaForm(Form[dict[str, object]]):
    def __init__(self, schema: Object, struct: type[Struct], names: Mapping[str, str]) -> None:
        super().__init__(schema, dict)
        self._reader = Form(schema, struct)
        self._names = names

    def read(self, content: Mapping[str, object]) -> dict[str, object]:
        values = msgspec.structs.asdict(self._reader.read(content))
        return {self._names[field]: value for field, value in values.items() if value is not UNSET}


def _leaves_of_fields(type_: object) -> dict[str, list[object]]:
    """What each field's annotation is made of: plain types, and choices in the order in which they were declared.

    msgspec sorts choices, which the user looks at, and tells of a date with a time only if it must have a zone.
    """
    if isinstance(type_, type) and issubclass(type_, Struct):
        return {each.encode_name: _leaves(each.type) for each in msgspec.structs.fields(type_)}
    return {name: _leaves(hint) for name, hint in typing.get_type_hints(type_, include_extras=True).items()}


def _leaves(annotation: object) -> list[object]:
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return [member.value for member in annotation]
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is Literal:
        return list(arguments)
    return [leaf for each in arguments for leaf in _leaves(each)] or [annotation]


def _flat(schema: Object, definitions: Mapping[str, Object], leaves: Sequence[object]) -> Object:
    """A property without references, without null, with its type, and its choices in order."""
    members = schema.pop("anyOf", None)
    if isinstance(members, list):
        rest = [member for member in members if member != {"type": "null"}]
        if len(rest) == 1:
            schema = {**rest[0], **schema}
    reference = schema.pop("$ref", None)
    if isinstance(reference, str):
        definition = definitions[reference.rpartition("/")[2]]
        schema = {key: value for key, value in definition.items() if key != "title"} | schema
    choices = schema.get("enum")
    if isinstance(choices, list):
        choices = [each for each in choices if each is not None]
        if all(each in leaves for each in choices):
            choices.sort(key=leaves.index)
        schema["enum"] = choices
        if all(isinstance(choice, str) for choice in choices):
            schema["type"] = "string"
    items = schema.get("items")
    if isinstance(items, dict):
        schema["items"] = _flat(dict(items), definitions, leaves)
    for type_, format in ((datetime.datetime, "date-time"), (datetime.time, "time")):
        if type_ in leaves and schema.get("type") == "string":
            schema["format"] = format
    if "default" in schema and schema["default"] is None:
        del schema["default"]
    schema.pop("examples", None)
    return schema


def _checked(name: str, schema: Object) -> Object:
    type_ = schema.get("type")
    known = _KNOWN.get(type_) if isinstance(type_, str) else None
    items = schema.get("items")
    if known is None or (type_ == "array" and (not isinstance(items, dict) or not _choices(items))):
        raise DeclarationError(f"`{name}` cannot be in a form: {_FIELDS}")
    unknown = sorted(schema.keys() - known)
    if unknown:
        raise DeclarationError(
            f"`{name}` cannot be in a form, which knows no `{unknown[0]}` for a {type_} (it knows "
            f"{', '.join(sorted(known))})"
        )
    if schema.get("format", "email") not in _FORMATS:
        raise DeclarationError(
            f"`{name}` cannot be in a form: a format is one of {', '.join(_FORMATS)}, not {schema['format']!r}"
        )
    return schema


def _choices(schema: Mapping[str, object]) -> tuple[str, ...]:
    plain = schema.get("enum")
    titled = schema.get("oneOf", schema.get("anyOf"))
    if isinstance(titled, list) and all(isinstance(each, Mapping) for each in titled):
        plain = [each.get("const") for each in titled]
    if isinstance(plain, list) and all(isinstance(each, str) for each in plain):
        return tuple(plain)
    return ()


def _type_of(schema: Mapping[str, object]) -> type:
    """What the answer to a property is."""
    choices = _choices(schema)
    if choices:
        return cast("type", Literal[choices])
    kind = schema["type"]
    if kind == "array":
        members = _type_of(cast("Object", schema["items"]))
        return cast("type", Annotated[list[members], _length(schema, "Items")])  # type: ignore[valid-type]
    if kind == "string":
        return cast("type", Annotated[str, _length(schema, "Length")])
    if kind == "boolean":
        return bool
    number = int if kind == "integer" else float
    least, most = cast("tuple[float | None, ...]", (schema.get("minimum"), schema.get("maximum")))
    return cast("type", Annotated[number, Meta(ge=least, le=most)])


def _length(schema: Mapping[str, object], of: str) -> Meta:
    least, most = cast("tuple[int | None, ...]", (schema.get(f"min{of}"), schema.get(f"max{of}")))
    return Meta(min_length=least, max_length=most)
