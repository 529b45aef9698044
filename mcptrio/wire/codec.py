"""The seam where TLS stands: between what a protocol says and what the socket carries."""

from typing import Protocol

__all__ = ["IDENTITY", "Codec", "IdentityCodec"]


class Codec(Protocol):
    """Turns plain bytes into wire bytes and back. Synchronous, without input or output of its own.

    What `seal` returned must reach the wire exactly once and in order: it is queued as it is and never sealed
    again after a short send.
    """

    @property
    def ended(self) -> bool:
        """Whether the peer has said that no more plain bytes follow."""

    def seal(self, data: bytes, /) -> bytes:
        """Return the wire bytes that carry `data`."""

    def open(self, data: bytearray, /) -> tuple[bytes | bytearray, bytes]:
        """Take received wire bytes; return the plain bytes in them and what must be sent because of them.

        Both may be empty. Raises `OSError` if the bytes cannot be made sense of: the connection is broken.
        """

    def end(self) -> bytes:
        """Return the wire bytes that say that no more plain bytes follow; empty the second time. Raises nothing."""


class IdentityCodec:
    """The wire carries the plain bytes. Stateless, so that one serves every connection."""

    __slots__ = ()
    ended = False

    def seal(self, data: bytes, /) -> bytes:
        """Return `data`."""
        return data

    def open(self, data: bytearray, /) -> tuple[bytes | bytearray, bytes]:
        """Return `data`, and nothing to send."""
        return data, b""

    def end(self) -> bytes:
        """Return nothing: the transport's half-close says it."""
        return b""


IDENTITY = IdentityCodec()
