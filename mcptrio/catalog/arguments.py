"""Arguments from outside, validated and converted in one step by a generated msgspec Struct.

`JsonArguments` reads a tool's JSON object, `StringArguments` the strings of a prompt or of a template's
variables. Both give keyword arguments ready for the handler, or an `InvalidArgument` that names the argument.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping

import msgspec
from msgspec import NODEFAULT, Raw, Struct
from msgspec import inspect as types

from mcptrio.catalog import header
from mcptrio.catalog.errors import DeclarationError, InvalidArgument
from mcptrio.catalog.schema import schema_of
from mcptrio.catalog.signature import MISSING, Argument, Signature
from mcptrio.protocol import Failure, RpcError
from mcptrio.protocol.types import Object

_MAX_MESSAGE = 500
NESTED = "The arguments are nested too deeply"
_EXACT = 2.0**53
_PLAIN = (type(None), bool, int, float, str, bytes, enum.Enum)
_AT = re.compile(r" - at `\$\.?(.*)`\Z", re.DOTALL)
_MISSING_FIELD = re.compile(r"Object missing required field `([^`]*)`\Z")
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `([^`]*)`\Z")
_FROM_STRING = (
    types.AnyType,
    types.NoneType,
    types.BoolType,
    types.IntType,
    types.FloatType,
    types.StrType,
    types.DateTimeType,
    types.DateType,
    types.TimeType,
    types.TimeDeltaType,
    types.UUIDType,
    types.DecimalType,
    types.EnumType,
    types.LiteralType,
)


class JsonArguments:
    """A tool's arguments. `schema` is what clients are told: an object without further properties."""

    def __init__(self, signature: Signature) -> None:
        """Raises `DeclarationError` when an annotation has no JSON form."""
        struct = _struct(signature)
        self._names = tuple(argument.name for argument in signature.arguments)
        self._decoder = msgspec.json.Decoder(struct)
        self.schema = _input_schema(struct, signature.arguments)
        header.mark(signature.function, self.schema, signature.arguments)

    def read(self, raw: Raw | bytes | None) -> dict[str, object]:
        """The arguments by name, with defaults filled in. None means that the client sent none.

        Raises:
            InvalidArgument: an argument is missing, unknown or not of its type.
            RpcError: -32602 when this is not a JSON object at all.
        """
        try:
            return msgspec.structs.asdict(self._decoder.decode(b"{}" if raw is None else raw))
        except msgspec.ValidationError as error:
            return self._look_again(b"{}" if raw is None else bytes(raw).strip(), error)
        except RecursionError:
            raise InvalidArgument(NESTED) from None
        except (msgspec.DecodeError, UnicodeError) as error:
            raise malformed(str(error)) from None

    def _look_again(self, raw: bytes, error: msgspec.ValidationError) -> dict[str, object]:
        if raw == b"null":
            # Some clients send every optional member.
            return self.read(None)
        if not raw.startswith(b"{"):
            raise malformed("`arguments` must be an object") from None
        if "got `float`" in str(error):
            # To JSON Schema 3.0 is an integer, and models do send it. Only a failure pays for the second try.
            try:
                return msgspec.structs.asdict(
                    self._decoder.decode(msgspec.json.encode(_integral(msgspec.json.decode(raw))))
                )
            except msgspec.ValidationError as second:
                error = second
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                pass  # in a part that the arguments' type does not look at: the first error stands
        raise _named(error, self._names) from None


class StringArguments:
    """Arguments that arrive as strings and become what the parameters are annotated with."""

    def __init__(self, signature: Signature) -> None:
        """Raises `DeclarationError` when a parameter could not be had from a string."""
        self._struct = _struct(signature)
        self._names = tuple(argument.name for argument in signature.arguments)
        self.schema = _input_schema(self._struct, signature.arguments)
        header.refuse(signature.function, signature.arguments)
        for argument in signature.arguments:
            if not _from_string(types.type_info(argument.annotation)):
                raise DeclarationError(
                    f"{signature.function}: parameter `{argument.name}` arrives as a string; annotate it "
                    "with str, int, float, bool, an enum, a Literal, a date or a UUID"
                )

    def read(self, values: Mapping[str, str]) -> dict[str, object]:
        """The arguments by name, with defaults filled in.

        Raises:
            InvalidArgument: one is missing, unknown or not convertible.
        """
        try:
            return msgspec.structs.asdict(msgspec.convert(values, self._struct, strict=False))
        except msgspec.ValidationError as error:
            raise _named(error, self._names) from None


def _struct(signature: Signature) -> type[Struct]:
    fields = [
        (argument.name, argument.annotation, _default(argument.default)) for argument in signature.arguments
    ]
    try:
        # The schema is made here too, because only it finds out about types that have no JSON form.
        struct = msgspec.defstruct("Arguments", fields, kw_only=True, forbid_unknown_fields=True)
        msgspec.json.Decoder(struct)
        schema_of(struct)
    except Exception as error:
        raise _unsupported(signature, error) from error
    return struct


def _unsupported(signature: Signature, error: Exception) -> DeclarationError:
    for argument in signature.arguments:
        try:
            msgspec.json.Decoder(argument.annotation)
            schema_of(argument.annotation)
        except Exception as cause:
            shown = getattr(argument.annotation, "__name__", None) or str(argument.annotation)
            return DeclarationError(
                f"{signature.function}: parameter `{argument.name}` is annotated with {shown}, which cannot "
                f"come from JSON ({str(cause).splitlines()[-1]}); use a JSON type, Struct or dataclass, or, "
                "if it is to be injected, declare what provides it (the lifespan) before this handler"
            )
    return DeclarationError(f"{signature.function}: its parameters cannot be offered: {error}")


def _default(default: object) -> object:
    if default is MISSING:
        return NODEFAULT
    if isinstance(default, _PLAIN):
        return default
    # As Python has it: every call without the argument gets the same object.
    return msgspec.field(default_factory=lambda: default)


def _input_schema(struct: type[Struct], arguments: tuple[Argument, ...]) -> Object:
    schema = schema_of(struct)
    del schema["title"]
    schema.pop("description", None)
    if not arguments:
        return {"type": "object", "additionalProperties": False}
    properties = schema["properties"]
    assert isinstance(properties, dict)
    for argument in arguments:
        if argument.default is MISSING or isinstance(argument.default, _PLAIN):
            continue
        try:
            shown = msgspec.to_builtins(argument.default, str_keys=True)
        except Exception:  # a default without a JSON form: the argument is optional all the same
            continue
        properties[argument.name] = {**properties[argument.name], "default": shown}
    return schema


def _from_string(type_: types.Type) -> bool:
    if isinstance(type_, types.Metadata):
        return _from_string(type_.type)
    if isinstance(type_, types.UnionType):
        return all(_from_string(member) for member in type_.types)
    return isinstance(type_, _FROM_STRING) or (isinstance(type_, types.CustomType) and type_.cls is object)


def _integral(value: object) -> object:
    if isinstance(value, float):
        # Beyond 2**53 a float no longer says which integer was meant.
        return int(value) if value.is_integer() and abs(value) <= _EXACT else value
    if isinstance(value, dict):
        return {key: _integral(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_integral(member) for member in value]
    return value


def malformed(reason: str) -> RpcError:
    """The error for arguments that are no JSON object."""
    return RpcError.of(Failure.INVALID_PARAMS, f"Invalid params: {reason}"[:_MAX_MESSAGE])


def _named(error: msgspec.ValidationError, names: tuple[str, ...]) -> InvalidArgument:
    text = str(error)
    if (missing := _MISSING_FIELD.match(text)) is not None:
        return InvalidArgument(f"Missing argument `{missing[1]}`")
    if (unknown := _UNKNOWN_FIELD.match(text)) is not None:
        known = "known: " + ", ".join(names) if names else "none is known"
        return InvalidArgument(f"Unknown argument `{cut(unknown[1])}` ({known})")
    where = _AT.search(text)
    if where is None or not where[1]:
        return InvalidArgument(f"Invalid arguments: {cut(text)}")
    return InvalidArgument(cut(text[: where.start()]), cut(where[1]))


def cut(text: str) -> str:
    """The text, or the first 500 characters of it."""
    return text if len(text) <= _MAX_MESSAGE else text[:_MAX_MESSAGE] + "…"
