"""The server's side of a WebSocket (RFC 6455), over any transport.

Framing is `websockets`' Sans-I/O `ServerProtocol`. What it leaves to its user is done here: messages are
reassembled, their fragments counted, their text checked to be UTF-8; text that arrives after our close frame is
dropped; and the end of the connection is bounded in time.

Owned by the connection's task, which alone calls `receive`. Everything else is synchronous and may be called from
any task of the same Trio run.
"""

import logging
from collections.abc import Callable

import trio
from websockets.exceptions import ProtocolError
from websockets.frames import Close, CloseCode, Opcode
from websockets.protocol import SEND_EOF, State
from websockets.server import ServerProtocol

from mcptrio.wire.limits import Limits
from mcptrio.wire.link import Link

__all__ = ["WebSocket", "text_frame"]

_TEXT, _BINARY, _CONT = Opcode.TEXT, Opcode.BINARY, Opcode.CONT
_SMALL_READ, _LARGE_READ = 4096, 65_536
_MANY_FRAMES = 64
_CLOSING_REASON_BYTES = 123  # a control frame holds 125 bytes, two of them the code (RFC 6455, 5.5)

# The library reports every connection at INFO. What is worth a line is reported by the listener, once.
_library_logger = logging.getLogger("mcptrio.wire.websocket.protocol")
_library_logger.setLevel(logging.ERROR)


def text_frame(payload: bytes) -> bytes:
    """Return the frame that carries `payload` (UTF-8) as one text message from a server.

    Server frames are unmasked and no extension is ever agreed on, so the same bytes serve every peer.
    Written out because it is the hottest of all: an eighth of the time that the library's serializer takes.
    """
    size = len(payload)
    if size < 126:
        return b"\x81%c%b" % (size, payload)
    if size < 65_536:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), payload)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), payload)


class WebSocket:
    """An open WebSocket, from the bytes after the 101 to the end of its connection.

    How it ends, first come first served; `close_code` and `close_reason` say which it was:

    - the peer closes: its close frame is answered, and the connection ends when the answer has gone;
    - `close`: our close frame goes out behind what is pending; the connection ends when the peer has answered, or
      `close_timeout` later;
    - the peer breaks the rules: 1002 framing, 1003 binary, 1007 not UTF-8, 1009 message too big or in too many
      fragments. Its messages before the fault are still received;
    - the peer is too slow: 1008 "too far behind" with `max_pending` bytes pending, 1008 "stalled" when it accepts
      no byte for `stall_timeout`; 1011 "ping timeout" when it is silent for `heartbeat` and stays so for
      `pong_timeout` after a ping (any byte of the peer counts as life);
    - the connection is lost, or `abort` is called: 1006, which never is on the wire.

    Args:
        link: the connection's bytes; the 101 was pushed. It is aborted in the end.
        limits: see above.
        subprotocol: what was agreed on.
        headers: the header fields of the upgrade request, names in lower case.
        received: what the peer had sent behind its request: handled as if it had just been read.
        on_closed: called once, when the connection has ended.
    """

    __slots__ = (
        "_buffer",
        "_close_deadline",
        "_closed",
        "_ended",
        "_fragments",
        "_heard",
        "_heard_at",
        "_limits",
        "_link",
        "_on_closed",
        "_owed_pong",
        "_pinged_at",
        "_protocol",
        "_read_size",
        "_ready",
        "_receiving",
        "_size",
        "_wait_readable",
        "close_code",
        "close_reason",
        "headers",
        "subprotocol",
    )

    def __init__(
        self,
        link: Link,
        *,
        limits: Limits,
        subprotocol: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        received: bytes = b"",
        on_closed: Callable[["WebSocket"], None] | None = None,
    ) -> None:
        self._link = link
        self._buffer = link.buffer
        self._buffer.on_overflow = self._overflowed
        self._buffer.on_broken = self._broken
        self._wait_readable = link.wait_readable
        self._limits = limits
        # A fresh protocol that starts in the open state: it never sees a byte of the request, so nothing that is
        # sent behind one can be mistaken for a part of it. It measures control frames inside a fragmented message
        # against the rest of the message's size; hence the slack, and our own exact check.
        self._protocol = ServerProtocol(
            state=State.OPEN, max_size=limits.max_message + 125, logger=_library_logger
        )
        self._fragments: list[bytes] | None = None
        self._size = 0
        self._closed = False
        self._ended: trio.Event | None = None
        self._receiving = False
        self._read_size = _SMALL_READ
        self._on_closed = on_closed
        self._close_deadline = 0.0
        self._heard = True
        self._heard_at = 0.0
        self._pinged_at: float | None = None
        self._owed_pong = b""
        self.close_code: int | None = None
        self.close_reason = ""
        self.subprotocol = subprotocol
        self.headers = headers
        self._ready = self._feed(received) if received else []

    # ---- what its user calls

    @property
    def peername(self) -> str:
        """Who is at the other end, for logs."""
        return self._link.peername

    @property
    def pending_bytes(self) -> int:
        """Bytes that were pushed and not yet accepted by the transport."""
        return self._buffer.pending_bytes

    @property
    def closed(self) -> bool:
        """Whether the connection has ended. (After `close` this takes a moment; `close_code` is set at once.)"""
        return self._closed

    async def receive(self) -> list[bytes]:
        """Return the text messages completed by the next read, in order, each valid UTF-8; empty once it is closed.

        While our close frame waits for its answer this goes on reading and drops what comes, so it should be
        called until it returns nothing. Every read is a checkpoint, so that a peer who floods starves nobody.
        Nothing is lost if it is cancelled. At most one task may call it: another one gets
        `trio.BusyResourceError`.
        """
        if self._receiving:
            raise trio.BusyResourceError("another task is receiving")
        if self._ready:
            await trio.lowlevel.checkpoint()
            messages, self._ready = self._ready, []
            return messages
        self._receiving = True
        try:
            while not self._closed:
                try:
                    await self._wait_readable()
                    data = self._link.read_nowait(self._read_size)
                except BlockingIOError:
                    continue
                except (OSError, trio.ClosedResourceError):
                    self._lose()  # does nothing if it was aborted, which raises here too
                    break
                if data is None:
                    self._lose()
                elif messages := self._feed(data):
                    return messages
        finally:
            self._receiving = False
        await trio.lowlevel.checkpoint()
        return []

    def push_text(self, payload: bytes) -> bool:
        """Send `payload`, which must be UTF-8, as one text message; see `push_frame`."""
        return self._buffer.push(text_frame(payload))

    def push_frame(self, frame: bytes) -> bool:
        """Send ready frames (`text_frame`, or several of them joined), after all that was pushed before.

        Returns whether they were taken: not once it is closing, and not beyond `max_pending` (which closes it).
        """
        return self._buffer.push(frame)

    def close(self, code: int, reason: str = "") -> None:
        """Close: send the close frame behind what is pending, and refuse every push from now on.

        The first caller wins, and whatever ended it before wins too. A reason beyond 123 bytes is cut.
        Raises `ValueError` for a code that may not be sent (RFC 6455, 7.4).
        """
        reason = reason.encode()[:_CLOSING_REASON_BYTES].decode(errors="ignore")
        try:
            Close(code, reason).check()
        except ProtocolError as error:
            raise ValueError(f"{code} is not a close code that may be sent") from error
        if self.close_code is None:
            self._protocol.send_close(code, reason)
            self._reply(self._protocol.data_to_send())

    def abort(self) -> None:
        """End the connection at once; what is pending is dropped. Idempotent; raises nothing."""
        if self._closed:
            return
        self._closed = True
        if self.close_code is None:
            self.close_code = CloseCode.ABNORMAL_CLOSURE.value
            self.close_reason = "aborted"
        self._link.abort()
        self._fragments = None
        self._protocol.parser.close()  # a generator that holds the protocol, which holds it
        if self._ended is not None:
            self._ended.set()
        if self._on_closed is not None:
            self._on_closed(self)

    async def wait_below_high_water(self) -> None:
        """Wait until fewer than `high_water` bytes are pending, or it is closed."""
        await self._buffer.wait_below_high_water()

    async def wait_closed(self) -> None:
        """Wait until the connection has ended. Somebody must be receiving, or only the deadline ends it."""
        if not self._closed:
            if self._ended is None:
                self._ended = trio.Event()
            await self._ended.wait()
        else:
            await trio.lowlevel.checkpoint()

    # ---- what the sweeper calls

    def check_deadlines(self, now: float) -> None:
        """Do what is due at `now` (Trio's clock): give up a peer, ping it, or end an unanswered close."""
        if self._closed:
            return
        if self.close_code is not None:
            if now >= self._close_deadline:
                self.abort()
            return
        limits = self._limits
        if self._owed_pong and self._buffer.pending_bytes < limits.high_water:
            pong, self._owed_pong = self._owed_pong, b""
            self.push_frame(pong)
        if self._buffer.pending_bytes and now - self._buffer.last_accepted_at >= limits.stall_timeout:
            self.close(CloseCode.POLICY_VIOLATION, "stalled")
        elif self._heard:
            # Noting the time here and not at every read is exact enough, and free.
            self._heard = False
            self._heard_at = now
            self._pinged_at = None
        elif self._pinged_at is not None:
            if now - self._pinged_at >= limits.pong_timeout:
                self.close(CloseCode.INTERNAL_ERROR, "ping timeout")
        elif now - self._heard_at >= limits.heartbeat:
            self._pinged_at = now
            self._protocol.send_ping(b"")
            self.push_frame(b"".join(self._protocol.data_to_send()))

    # ---- what the peer says

    def _feed(self, data: bytes | bytearray) -> list[bytes]:
        """Parse `data`; answer what the protocol itself answers; return the messages that it completes."""
        self._heard = True
        protocol = self._protocol
        protocol.receive_data(data)
        messages: list[bytes] = []
        frames = protocol.events_received()
        # A read full of tiny frames would keep everyone else waiting: a peer that sends such gets smaller reads.
        self._read_size = _SMALL_READ if len(frames) > _MANY_FRAMES else _LARGE_READ
        for frame in frames:
            if self.close_code is not None:
                break  # dropped: we have closed, before or just now
            opcode = frame.opcode  # type: ignore[union-attr]  # the handshake's events never occur here
            if opcode is _TEXT or opcode is _CONT:
                message = self._assemble(frame.data, frame.fin)  # type: ignore[union-attr, arg-type]
                if message is not None:
                    messages.append(message)
            elif opcode is _BINARY:
                self._fail(CloseCode.UNSUPPORTED_DATA, "binary messages are not accepted")
        writes = protocol.data_to_send()
        if writes:
            self._reply(writes)
        return messages

    def _assemble(self, data: bytes, fin: bool) -> bytes | None:
        """Take one data frame; return the message if it is complete and sound."""
        fragments = self._fragments
        if fragments is None and fin:
            self._size = len(data)
        else:
            if fragments is None:
                self._fragments = fragments = []
                self._size = 0
            fragments.append(data)
            self._size += len(data)
            if len(fragments) > self._limits.max_fragments:
                self._fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
                return None
        if self._size > self._limits.max_message:
            self._fail(CloseCode.MESSAGE_TOO_BIG, "message too big")
            return None
        if not fin:
            return None
        if fragments is not None:
            data = b"".join(fragments)
            self._fragments = None
        if not data.isascii():
            try:
                data.decode()
            except UnicodeDecodeError:
                self._fail(CloseCode.INVALID_DATA, "a text message is not UTF-8")
                return None
        return data

    def _fail(self, code: CloseCode, reason: str) -> None:
        """Close because the peer broke a rule that the protocol does not check."""
        self._fragments = None
        if self._protocol.state is State.OPEN:  # else the peer's own close frame came behind
            self._protocol.fail(code, reason)
            self._reply(self._protocol.data_to_send())

    def _reply(self, writes: list[bytes]) -> None:
        """Send what the protocol wants sent: pongs, or the end of everything."""
        protocol = self._protocol
        if protocol.state is State.OPEN:
            # Pongs. A peer who pings without reading is owed the latest one only (RFC 6455, 5.5.3).
            if self._buffer.pending_bytes >= self._limits.high_water:
                self._owed_pong = writes[-1]
            else:
                self._owed_pong = b""
                self.push_frame(b"".join(writes))
            return
        answered = protocol.close_rcvd is not None
        if self.close_code is None:
            sent = protocol.close_sent
            assert sent is not None, "a protocol leaves the open state with a close frame"
            self.close_code, self.close_reason = int(sent.code), sent.reason
            self._close_deadline = trio.current_time() + self._limits.close_timeout
            self._fragments = None
            # A peer that broke the rules is read no further: the half-close asks it to go.
            self._link.finish(b"".join(writes), eof=SEND_EOF in writes and not answered)
        elif SEND_EOF in writes and not answered:
            self._link.finish(eof=True)  # it broke them after our close frame
        if answered:
            if self._buffer.flushed:
                self.abort()
            else:
                self._buffer.on_flushed = self.abort

    def _overflowed(self) -> None:
        self.close(CloseCode.POLICY_VIOLATION, "too far behind")

    def _broken(self, error: OSError) -> None:
        self._lose()

    def _lose(self) -> None:
        """The connection is gone: nobody closed it properly, unless a close was under way."""
        if self.close_code is None:
            self.close_code = CloseCode.ABNORMAL_CLOSURE.value
            self.close_reason = "connection lost"
        self.abort()
