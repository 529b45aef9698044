"""The body of a request: read whole within its limits, or dropped where nobody wants it."""

import h11
import trio

from mcptrio.wire.head import Refused, RequestHead
from mcptrio.wire.inbound import Inbound
from mcptrio.wire.link import Link

__all__ = ["PeerGone", "RequestBody"]

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_READ_BYTES = 65_536
_BATCH = 64  # chunks between two checkpoints: a read full of tiny ones would keep everybody waiting


class PeerGone(Exception):
    """The peer left before its request was complete: there is nobody to answer. The listener ends it quietly."""


class RequestBody:
    """What is still to come of one request.

    `complete` says that all of it was taken out of the connection's bytes: the next one belongs to the next request.
    """

    __slots__ = ("_expects_continue", "_http", "_inbound", "_left", "_link", "complete")

    def __init__(self, head: RequestHead, link: Link, inbound: Inbound) -> None:
        self._link = link
        self._inbound = inbound
        self._http, head.chunked = head.chunked, None
        self._left = int(head.fields.get("content-length", 0))
        self._expects_continue = head.expects_continue
        self.complete = self._http is None and not self._left

    async def read(self, limit: int, timeout: float) -> bytes:
        """Return the whole body, at most `limit` bytes, within `timeout` (s).

        Raises `Refused` (413, 408, 400) and `PeerGone`. If cancelled, what came of a chunked body is lost.
        """
        if self._left > limit:
            raise _too_big(limit)
        if self._http is None and len(self._inbound.data) >= self._left:
            await trio.lowlevel.checkpoint()
            return self._take()
        with trio.move_on_after(timeout):
            try:
                return await (self._read_counted() if self._http is None else self._read_chunks(limit))
            except (OSError, trio.ClosedResourceError) as error:
                raise PeerGone from error
        raise Refused(408, "body_timeout", "The request's body did not come in time.\n")

    def settle(self) -> bool:
        """Drop the body if the whole of it has come already; return whether nothing of it is still to come.

        Not if the client waits to be told to send it: whether it will, nobody can know.
        """
        if self.complete:
            return True
        if self._expects_continue:
            return False
        try:
            if not self._there():
                self._inbound.fill_nowait(_READ_BYTES)
            return self._there()
        except (OSError, h11.RemoteProtocolError):
            return False

    def _there(self) -> bool:
        if self._http is None:
            if len(self._inbound.data) >= self._left:
                self._take()
        else:
            event = self._next_event()
            for _ in range(_BATCH):
                if not isinstance(event, h11.Data):
                    break
                event = self._next_event()
        return self.complete

    def _take(self) -> bytes:
        size, self._left = self._left, 0
        self.complete = True
        return self._inbound.take(size)

    async def _read_counted(self) -> bytes:
        while len(self._inbound.data) < self._left:
            await self._more()
        return self._take()

    async def _read_chunks(self, limit: int) -> bytes:
        body = bytearray()
        number = 0
        while not self.complete:
            try:
                event = self._next_event()
            except h11.RemoteProtocolError as error:
                raise Refused(400, "bad_request", "Bad request: the body is badly chunked.\n") from error
            if isinstance(event, h11.Data):
                body += event.data
                if len(body) > limit:
                    raise _too_big(limit)
                number += 1
                if number % _BATCH == 0:
                    await trio.lowlevel.checkpoint()
            elif not self.complete:
                await self._more()
        return bytes(body)

    def _next_event(self) -> object:
        """Parse on in a chunked body."""
        assert self._http is not None
        inbound = self._inbound
        if inbound.data:
            self._http.receive_data(bytes(inbound.data))
            inbound.data = bytearray()
        event = self._http.next_event()
        if isinstance(event, h11.EndOfMessage):
            inbound.data = bytearray(self._http.trailing_data[0])
            self._http = None
            self.complete = True
        return event

    async def _more(self) -> None:
        if self._expects_continue:
            self._expects_continue = False
            if not self._inbound.data:
                self._link.push(_CONTINUE)
        if not await self._inbound.more(_READ_BYTES):
            raise PeerGone


def _too_big(limit: int) -> Refused:
    return Refused(413, "body_too_big", f"The request's body exceeds {limit} bytes.\n")
