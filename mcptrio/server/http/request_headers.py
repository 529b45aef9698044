"""What the header fields of a 2026-07-28 request must say of its body. Sans-IO.

Specification: 2026-07-28 basic/transports/streamable-http. The body is the truth; the fields let proxies route without
reading it, so a request whose fields say something else is refused.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence

import msgspec

from mcptrio.protocol import Failure, Request, RpcError
from mcptrio.protocol.envelope import RequestMeta

VERSION = "mcp-protocol-version"
METHOD = "mcp-method"
NAME = "mcp-name"
PARAMETER = "mcp-param-"

_NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


class _Named(msgspec.Struct, frozen=True):
    """What of a request's params is repeated in fields."""

    name: object = None
    uri: object = None
    arguments: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_named = msgspec.json.Decoder(_Named)
_number = msgspec.json.Decoder(int | float)

Fields = Sequence[tuple[str, str]]
"""Header fields as they came, names in lower case."""

Mirrored = Mapping[str, Sequence[str]]
"""What a tool wants mirrored: the suffix of the header field, and the path of the property in the arguments."""


def check_version(fields: Fields, meta: RequestMeta) -> None:
    """The version of the field and of the envelope are one.

    Raises:
        RpcError: -32020.
    """
    if _only(fields, VERSION) != meta.protocol_version:
        raise _mismatch("MCP-Protocol-Version", "params._meta's protocolVersion")


def check_headers(fields: Fields, request: Request, mirrored: Mirrored) -> None:
    """What the fields say of method, name and arguments is what the body says.

    `mirrored` is the called tool's; for any other method it is empty.

    Raises:
        RpcError: -32020, naming the field.
    """
    if decoded(_only(fields, METHOD)) != request.method:
        raise _mismatch("Mcp-Method", "the method")
    member = _NAMED_BY.get(request.method)
    if member is None:
        return
    try:
        params = _named.decode(request.params or b"{}")
        given = params.arguments if mirrored else msgspec.UNSET
        arguments = None if given is msgspec.UNSET else msgspec.json.decode(given)
    except (msgspec.MsgspecError, RecursionError):
        return  # refused as soon as the params are read
    name = params.name if member == "name" else params.uri
    if isinstance(name, str) and decoded(_only(fields, NAME)) != name:
        raise _mismatch("Mcp-Name", f"params.{member}")
    _check_parameters(fields, arguments, mirrored)


def decoded(value: str | None) -> str | None:
    """The text of a field's value: what is written as `=?base64?...?=` stands for UTF-8 in base64.

    Raises:
        RpcError: -32020 for what is written so and is no base64 of UTF-8.
    """
    if value is None or not (value.startswith("=?base64?") and value.endswith("?=") and len(value) > 10):
        return value
    try:
        return base64.b64decode(value[9:-2].encode("ascii"), validate=True).decode()
    except (ValueError, binascii.Error):
        raise RpcError.of(
            Failure.HEADER_MISMATCH,
            "Header mismatch: a value begins with =?base64? and is no base64 of UTF-8",
        ) from None


def _check_parameters(fields: Fields, arguments: object, mirrored: Mirrored) -> None:
    for suffix, path in mirrored.items():
        value: object = arguments
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        given = decoded(_only(fields, PARAMETER + suffix.lower()))
        if not _says(given, value):
            raise _mismatch(f"Mcp-Param-{suffix}", f"the argument {'.'.join(path)}")


def _says(given: str | None, value: object) -> bool:
    """Whether a field says what an argument is."""
    if given is None or value is None:
        return given is None and value is None
    if isinstance(value, bool):
        return given == ("true" if value else "false")
    if isinstance(value, int | float):
        try:
            return bool(_number.decode(given) == value)
        except (msgspec.MsgspecError, UnicodeError):
            return False
    return given == value


def _only(fields: Fields, name: str) -> str | None:
    """The value of a field; None if it is missing or there are several, of which none can be right."""
    values = [value for key, value in fields if key == name]
    return values[0] if len(values) == 1 else None


def _mismatch(field: str, what: str) -> RpcError:
    return RpcError.of(
        Failure.HEADER_MISMATCH, f"Header mismatch: {field} is missing, stands twice, or differs from {what}"
    )
