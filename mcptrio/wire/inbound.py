"""What has come from a peer and was not used yet."""

from mcptrio.wire.link import Link

__all__ = ["READ_BYTES", "Inbound"]

READ_BYTES = 4096
"""What is read at once where little is expected: a read full of tiny requests or frames is a moment's work."""


class Inbound:
    """The bytes of one connection between the socket and what is made of them: heads, bodies, pipelined requests.

    At most one task reads at a time. What was read stays in `data` until it is taken out of it, so that nobody who
    is cancelled loses anything.
    """

    __slots__ = ("_link", "data", "ended")

    def __init__(self, link: Link) -> None:
        self._link = link
        self.data = bytearray()
        #: The peer will send no more.
        self.ended = False

    async def more(self, limit: int = READ_BYTES) -> bool:
        """Wait for more plain bytes (of at most `limit` wire bytes) and append them; False at the end of them.

        Every read is a checkpoint. Raises `OSError` or `trio.ClosedResourceError` if the connection is broken.
        """
        while True:
            await self._link.wait_readable()
            if self.fill_nowait(limit):
                return not self.ended

    def fill_nowait(self, limit: int) -> bool:
        """Append what is there; whether that was anything: plain bytes, or the end of them. Raises `OSError`."""
        try:
            plain = self._link.read_nowait(limit)
        except BlockingIOError:
            return False
        if plain is None:
            self.ended = True
        elif self.data or not isinstance(plain, bytearray):
            self.data += plain
        else:
            self.data = plain
        return bool(plain) or self.ended

    def take(self, size: int) -> bytes:
        """Take the first `size` bytes out."""
        data = self.data
        if size == len(data):
            self.data = bytearray()
            return bytes(data)
        taken = bytes(data[:size])
        del data[:size]
        return taken
