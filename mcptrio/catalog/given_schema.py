"""A JSON schema that somebody wrote, where the type hints do not say enough: `@app.tool(input_schema=...)`.

It is told to clients verbatim, and values are held to it by jsonschema-rs, which is imported only here and only when
there is such a schema. Nothing is ever fetched: a reference that leads out of the document is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

import msgspec
from msgspec import Raw

from mcptrio.catalog import header
from mcptrio.catalog.arguments import NESTED, cut, malformed
from mcptrio.catalog.errors import DeclarationError, InvalidArgument
from mcptrio.catalog.schema import is_object
from mcptrio.catalog.signature import Signature, without_metadata
from mcptrio.protocol.types import Object

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError

_HINT = "see what json-schema.org says of 2020-12, or leave it away and let the type hints make it"
_DICTS = ("dict", "Mapping")


class GivenSchema:
    """The schema, compiled. `what` is the parameter that it was given by, for messages."""

    def __init__(self, where: str, what: str, schema: Mapping[str, object]) -> None:
        """Raises `DeclarationError` for what is no valid schema, or refers to another document."""
        if not isinstance(schema, Mapping):
            raise DeclarationError(f"{where}: {what} must be a dict, not {type(schema).__name__}")
        import jsonschema_rs

        try:
            # A copy, which nobody can change while it is listed.
            self.schema: Object = msgspec.json.decode(msgspec.json.encode(schema), type=Object)
            self._validator = jsonschema_rs.validator_for(self.schema, retriever=_refuse)
            self._error = jsonschema_rs.ValidationError
        except jsonschema_rs.ValidationError as error:
            at = _path(error.instance_path)
            shown = cut(error.message) + (f" at `{at}`" if at else "")
            if "retrieving it failed" in error.message or "does not exist" in error.message:
                raise DeclarationError(
                    f"{where}: {what} has a $ref that leads nowhere in it: {shown}; put what it refers to under "
                    "$defs, since nothing is fetched"
                ) from None
            raise DeclarationError(f"{where}: {what} is no valid JSON schema: {shown}; {_HINT}") from None
        except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
            raise DeclarationError(f"{where}: {what} is no JSON schema: {error}; {_HINT}") from None

    def error(self, value: object) -> ValidationError | None:
        """The first thing that is wrong with a value; None when it conforms.

        Raises:
            ValueError: it is nested too deeply.
        """
        try:
            self._validator.validate(value)
        except self._error as error:
            return error
        return None

    def conforms(self, json: bytes) -> None:
        """Raises `ValueError` when this JSON does not conform."""
        error = self.error(msgspec.json.decode(json))
        if error is not None:
            at = _path(error.instance_path)
            raise ValueError(f"the result does not conform to output_schema at `{at}`: {cut(error.message)}")


class GivenArguments:
    """A tool's arguments by a given schema: they come as they are, in the function's one parameter."""

    def __init__(self, given: GivenSchema, signature: Signature) -> None:
        """Raises `DeclarationError` when the schema is not of an object, or the function has no one dict for it."""
        if not is_object(given.schema):
            raise DeclarationError(
                f'{signature.function}: input_schema needs "type": "object" at its root, since arguments have names'
            )
        names = [argument.name for argument in signature.arguments]
        if len(names) != 1 or not _is_dict(signature.arguments[0].annotation):
            raise DeclarationError(
                f"{signature.function}: with input_schema=... the arguments come as one dict: write "
                f"`arguments: dict[str, object]` instead of {', '.join(names) or 'no parameter'}"
            )
        header.refuse(signature.function, signature.arguments)
        self._given = given
        self._name = names[0]
        self.schema = given.schema

    def read(self, raw: Raw | bytes | None) -> dict[str, object]:
        """The arguments, under the parameter's name. None means that the client sent none.

        Raises:
            InvalidArgument: they do not conform; names the argument by its path.
            RpcError: -32602 when this is not a JSON object at all.
        """
        try:
            value = msgspec.json.decode(b"{}" if raw is None or bytes(raw).strip() == b"null" else raw)
            if not isinstance(value, dict):
                raise malformed("`arguments` must be an object")
            error = self._given.error(value)
        except RecursionError:
            raise InvalidArgument(NESTED) from None
        except (msgspec.DecodeError, UnicodeError) as failure:
            raise malformed(str(failure)) from None
        except ValueError:
            raise InvalidArgument(NESTED) from None
        if error is None:
            return {self._name: value}
        at = _path(error.instance_path)
        if not at:
            raise InvalidArgument(f"Invalid arguments: {cut(error.message)}")
        raise InvalidArgument(cut(error.message), cut(at))


def _is_dict(annotation: object) -> bool:
    bare = without_metadata(annotation)
    return getattr(getattr(bare, "__origin__", bare), "__name__", "") in _DICTS


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"nothing is fetched, not {uri!r} either")


def _path(steps: list[str | int]) -> str:
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
