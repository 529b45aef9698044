"""The seam where TLS will stand: between what a protocol says and what the socket carries."""

from typing import Protocol

__all__ = ["IDENTITY", "Codec", "IdentityCodec"]


class Codec(Protocol):
    """Turns plain bytes into wire bytes and back. Synchronous, without input or output of its own.

    What `seal` returned must reach the wire exactly once and in order: it is queued as it is and never sealed
    again after a short send.
    """

    def seal(self, data: bytes, /) -> bytes:
        """Return the wire bytes that carry `data`."""

    def open(self, data: bytearray, /) -> tuple[bytes | bytearray, bytes]:
        """Take received wire bytes; return the plain bytes in them and what must be sent because of them.

        Both may be empty. Raises `OSError` if the bytes cannot be made sense of: the connection is broken.
        """


class IdentityCodec:
    """The wire carries the plain bytes. Stateless, so that one serves every connection."""

    __slots__ = ()

    def seal(self, data: bytes, /) -> bytes:
        """Return `data`."""
        return data

    def open(self, data: bytearray, /) -> tuple[bytes | bytearray, bytes]:
        """Return `data`, and nothing to send."""
        return data, b""


IDENTITY = IdentityCodec()
