"""One sender's connection: aiosmtpd's protocol, held to bounds that it has not. Imported on the server's thread."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, AnyStr, Protocol

from aiosmtpd.smtp import SMTP, Envelope, Session

from mcptrio.sources.smtp.counts import Counts

if TYPE_CHECKING:
    from mcptrio.sources.smtp.settings import SmtpSettings

IDENT = "mcptrio"
BYE = 1.0
"""Seconds that the last answer may take to leave, before the connection is cut."""
LINE_COST = 100
"""Bytes of memory that a line takes beside its own, while its mail comes in."""
SLACK = 1024 * 1024
"""Bytes that a sender may go on sending beyond what is too much, to get its answer in order."""

TOO_MANY = b"421 4.7.0 Too many connections, try again later\r\n"
TOO_LONG = b"421 4.4.2 Connection has been open for too long\r\n"
TOO_BIG = b"552 5.3.4 Message exceeds the size limit\r\n"
NO_ROOM = b"452 4.3.1 Too much mail is coming in, try again later\r\n"
LEAVING = b"421 4.3.2 Shutting down, try again later\r\n"

# It logs what senders say, at levels up to warning, and shows the traceback of what is only a lost connection.
_log = logging.getLogger("mail.log")
if _log.level == logging.NOTSET:
    _log.setLevel(logging.CRITICAL)


class House(Protocol):
    """What conversations share."""

    counts: Counts
    incoming: int
    """Bytes of memory that mails take while they come in."""
    most_incoming: int
    stopping: bool

    def left(self, conversation: Conversation) -> None: ...


class Desk:
    """What is decided about commands: aiosmtpd calls these."""

    def __init__(self, settings: SmtpSettings, take: TakeMail, counts: Counts) -> None:
        self._most_recipients = settings.max_recipients
        self._recipients = frozenset(text.lower() for text in settings.recipients)
        self._take = take
        self._counts = counts

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= self._most_recipients:
            self._counts.refused_recipients += 1
            return "452 4.5.3 Too many recipients"
        if self._recipients and not self._is_ours(address):
            self._counts.refused_recipients += 1
            return "550 5.7.1 No mail is taken for this recipient, and none is sent on"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    def _is_ours(self, address: str) -> bool:
        address = address.lower()
        return address in self._recipients or "@" + address.rpartition("@")[2] in self._recipients

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.original_content
        return await self._take(envelope.mail_from or "", tuple(envelope.rcpt_tos), content or b"")

    async def handle_exception(self, error: Exception) -> str:
        self._counts.failures += 1
        return "451 4.3.0 Local error in processing"


class TakeMail(Protocol):
    """Takes a mail; returns what the sender is told."""

    async def __call__(self, sender: str, recipients: tuple[str, ...], content: bytes) -> str: ...


class Conversation(SMTP):
    """aiosmtpd's protocol, with a bound to its whole duration and to the memory of a mail that comes in.

    It keeps every line of a mail as an object, and an endless line in pieces, whatever the limit of size.
    """

    def __init__(self, desk: Desk, house: House, settings: SmtpSettings, timeout: float, most: float) -> None:
        super().__init__(
            desk,
            data_size_limit=settings.max_size,
            enable_SMTPUTF8=True,
            hostname=settings.hostname,
            ident=IDENT,
            timeout=timeout,
            loop=asyncio.get_running_loop(),
        )
        self._house = house
        self._longest = most
        self._most_data = 2 * settings.max_size + SLACK
        self._end: asyncio.TimerHandle | None = None
        self._in_data = False
        self._is_leaving = False
        self._data_bytes = 0
        self._data_cost = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._house.counts.sessions += 1
        self._end = self.loop.call_later(self._longest, self.leave, TOO_LONG)
        super().connection_made(transport)
        if self._house.stopping:  # accepted before, and begun only now
            self.leave(LEAVING)

    def connection_lost(self, error: Exception | None) -> None:
        self._house.left(self)
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if self._is_leaving:
            return
        if self._in_data:
            self._count(len(data), data.count(b"\n"))
            if self._data_bytes > self._most_data:
                self._house.counts.refused_size += 1
                self.leave(TOO_BIG, linger=True)
                return
            if self._house.incoming > self._house.most_incoming:
                self._house.counts.refused_busy += 1
                self.leave(NO_ROOM, linger=True)
                return
        super().data_received(data)

    def _count(self, size: int, lines: int) -> None:
        cost = size + LINE_COST * lines
        self._data_bytes += size
        self._data_cost += cost
        self._house.incoming += cost

    async def smtp_DATA(self, arg: str) -> None:
        self._in_data = True
        try:
            await super().smtp_DATA(arg)
        finally:
            self._in_data = False
            self._house.incoming -= self._data_cost
            self._data_bytes = self._data_cost = 0

    async def push(self, status: AnyStr) -> None:
        if not self._is_leaving:  # there is no answer behind the last one
            await super().push(status)

    def leave(self, why: bytes, *, linger: bool = False) -> None:
        """Tell the sender why, and end the connection: within `BYE` seconds, whatever the sender does. Idempotent.

        `linger`: the sender is sending, and would not read it if the connection ended at once.
        """
        transport = self.transport
        if self._is_leaving or not isinstance(transport, asyncio.WriteTransport):
            return
        self._is_leaving = True
        transport.write(why)
        self.loop.call_later(BYE, transport.abort)
        if linger:
            return
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()  # a mail that is being handed over is not taken any more
        transport.close()

    def cut(self) -> None:
        """End the connection now."""
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()


class Refusal(asyncio.Protocol):
    """What a connection gets that cannot be served."""

    def __init__(self, why: bytes) -> None:
        self._why = why

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            transport.write(self._why)
            transport.close()
            asyncio.get_running_loop().call_later(BYE, transport.abort)
