"""A part of a mail whose content may be large: the interpreter is let go of while it is parsed and decoded."""

from __future__ import annotations

import binascii
from email.message import EmailMessage
from typing import cast

BIG = 256 * 1024
"""Characters of a payload from which on it is kept from the parser, which would search it at one go."""
PIECE = 1024 * 1024
"""Bytes that are decoded at one go."""
_NOT_BASE64 = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
)


class Part(EmailMessage):
    """A message or a part of one, as `email`'s parser fills it."""

    _big: str | None = None

    def set_payload(self, payload: object, charset: object = None) -> None:
        """As the parser calls it. A large payload is kept apart: the parser looks for the line end that it ends with
        from its beginning, and all other threads wait for that.
        """
        self._big = None
        if isinstance(payload, str) and len(payload) >= BIG:
            self._big, payload = payload, None
        super().set_payload(cast("str", payload), cast("str | None", charset))

    @property
    def content(self) -> bytes:
        """The decoded bytes of a part that has no parts of its own."""
        big = self._big
        if big is None:
            decoded = self.get_payload(decode=True)
            return decoded if isinstance(decoded, bytes) else b""
        coding = str(self.get("content-transfer-encoding", "")).strip().lower()
        if coding == "base64":
            decoded = _decoded(big.encode("ascii", "surrogateescape"))
        elif coding in ("", "7bit", "8bit", "binary"):
            decoded = _trimmed(big).encode("ascii", "surrogateescape")
        else:
            decoded = None
        if decoded is None:  # the library's own way, which makes something of everything
            super().set_payload(_trimmed(big))
            decoded = self.get_payload(decode=True)
        return decoded if isinstance(decoded, bytes) else b""


def _trimmed(text: str) -> str:
    """Without the line end that belongs to the boundary behind it."""
    if text.endswith("\r\n"):
        return text[:-2]
    return text[:-1] if text.endswith(("\n", "\r")) else text


def _decoded(encoded: bytes) -> bytes | None:
    """Base64 with whatever is between; None where it is unsound."""
    pieces, rest = [], b""
    for start in range(0, len(encoded), PIECE):
        rest += encoded[start : start + PIECE].translate(None, _NOT_BASE64)
        whole = len(rest) // 4 * 4
        if b"=" in rest[: whole - 4] or (b"=" in rest and start + PIECE < len(encoded)):
            return None
        try:
            pieces.append(binascii.a2b_base64(rest[:whole]))
        except binascii.Error:
            return None
        rest = rest[whole:]
    return None if rest else b"".join(pieces)
