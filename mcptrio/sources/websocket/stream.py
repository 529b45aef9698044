"""What stands between the WebSocket library and the network: bounds that the library does not keep."""

from __future__ import annotations

import re

import trio

from mcptrio.sources.shown_url import shown_url
from mcptrio.sources.websocket.lost import Lost, refused
from mcptrio.wire.send_guard import SendGuard, SendStalled

MAX_HEAD = 16 * 1024
"""Bytes of the answer's head that are read."""
MAX_FRAGMENTS = 65_536
"""Frames that a message may come in."""
FAREWELL = 1.0
"""Seconds that the close frame may take when it is this side that ends the connection."""

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: |\r?\n)")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_CLOSE = b"\x88\x82" + b"\x00\x00\x00\x00" + (1000).to_bytes(2, "big")  # masked, as a client's must be


class GuardedStream(trio.abc.Stream):
    """Passes bytes on; ends what would otherwise wait, or grow, for ever.

    - An answer that is no WebSocket's is told from its head, whatever its body does; the end of the stream before
      the WebSocket is open is an error. The library would wait in both cases.
    - A send has a deadline (`timeout`, seconds). After one that was cut, by it or by a cancellation, every other
      fails: there is half a frame on the wire, and the library would put the next into it.
    - A message has at most `MAX_FRAGMENTS` frames: the library counts only what is in them.

    What ends it is raised as `Lost`, or as `trio.BrokenResourceError` where the library knows what to do with it.
    """

    def __init__(self, inner: trio.abc.Stream, url: str, timeout: float) -> None:
        self.received = 0
        """Bytes, ever."""
        self.lost: Lost | None = None
        """What this stream ended the connection with; the library's cleanup may well hide it."""
        self._inner = inner
        self._url = url
        self._timeout = timeout
        self._head: bytes | None = b""  # None once the answer was seen to be a WebSocket's
        self._open = False
        self._sending = SendGuard(inner, timeout)
        self._fragments = _Fragments()

    def opened(self) -> None:
        """The library has opened the WebSocket."""
        self._open = True

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of `data` within the deadline."""
        try:
            await self._sending.send_all(data)
        except SendStalled as error:
            raise self._lose(f"took nothing for {self._timeout:g} s") from error
        except trio.BrokenResourceError as error:
            raise self._broken(error) from error

    async def wait_send_all_might_not_block(self) -> None:
        """As the inner stream."""
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """As the inner stream, within the bounds."""
        try:
            data = await self._inner.receive_some(max_bytes)
        except trio.BrokenResourceError as error:
            raise self._broken(error) from error
        if not data and not self._open:
            raise self._lose("hung up before the WebSocket was open")
        self.received += len(data)
        frames = bytes(data) if self._head is None else self._read_head(self._head + data)
        self._fragments.feed(frames)
        if self._fragments.count > MAX_FRAGMENTS:
            raise self._lose(f"sent a message of more than {MAX_FRAGMENTS} frames")
        return data

    def _read_head(self, head: bytes) -> bytes:
        """Look at the answer as far as it has come; returns what is behind its head."""
        status_line = _STATUS_LINE.match(head)
        if status_line is None and (b"\n" in head or not b"HTTP/1.".startswith(head[:7])):
            raise self._lose("does not speak HTTP/1.1", lasting=True)
        end = _END_OF_HEAD.search(head)
        if end is None:
            if len(head) > MAX_HEAD:
                raise self._lose(f"answered with more than {MAX_HEAD} bytes of headers")
            self._head = head
            return b""
        assert status_line is not None, "there was a line feed"
        status = int(status_line[1])
        if status != 101:
            raise self._end(refused(self._url, status, _fields(head[: end.start()])))
        self._head = None
        return head[end.end() :]

    def _broken(self, error: Exception) -> Exception:
        if self._open:
            return error
        return self._lose("broke the connection before the WebSocket was open")

    async def aclose(self) -> None:
        """Close the inner stream. The library does so where an answer is not right; it would then wait for ever."""
        await self._inner.aclose()
        if not self._open:
            raise self.unsound()

    def unsound(self) -> Lost:
        """What it is to be called when the library does not take an answer that began well."""
        words = "answered 101, but not as a WebSocket has to (RFC 6455)"
        return self._lose(words, lasting=True)

    def _lose(self, words: str, *, lasting: bool = False) -> Lost:
        return self._end(Lost(f"{shown_url(self._url)} {words}", lasting=lasting))

    def _end(self, lost: Lost) -> Lost:
        self.lost = self.lost or lost
        return lost

    async def part(self, *, politely: bool) -> None:
        """End the connection: with a close frame, if it is to be politely and nothing stands in its way.

        The caller bounds it (`FAREWELL`). If cancelled, the connection is ended all the same.
        """
        try:
            if politely and self._open and not self._sending.cut:
                await self._inner.send_all(_CLOSE)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the peer was faster
        finally:
            await trio.aclose_forcefully(self._inner)


class _Fragments:
    """Counts the frames of the message under way, from what the server sends."""

    def __init__(self) -> None:
        self.count = 0
        self._rest = b""  # the beginning of a frame's head
        self._skip = 0  # bytes of a payload that are still to come

    def feed(self, data: bytes) -> None:
        if self._skip >= len(data):
            self._skip -= len(data)
            return
        data = self._rest + data[self._skip :]
        self._rest, self._skip = b"", 0
        at = 0
        while at + 2 <= len(data):
            length = data[at + 1] & 0x7F
            head = {126: 4, 127: 10}.get(length, 2)
            if at + head > len(data):
                break
            if head > 2:
                length = int.from_bytes(data[at + 2 : at + head], "big")
            if not data[at] & 0x08:  # no control frame
                self.count = 0 if data[at] & 0x80 else self.count + 1
            at += head + length
        if at > len(data):
            self._skip = at - len(data)
        else:
            self._rest = data[at:]


def _fields(head: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in head.decode("latin-1").splitlines()[1:]:
        name, _, value = line.partition(":")
        fields.setdefault(name.strip().lower(), value.strip())
    return fields
