"""The SMTP server: asyncio and aiosmtpd in a thread of their own, which nothing of Trio's ever waits for."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from mcptrio.sources.duration import seconds
from mcptrio.sources.mail import Envelope, Found
from mcptrio.sources.smtp.counts import Counts
from mcptrio.sources.smtp.delivery import Delivery, Inbox
from mcptrio.sources.smtp.settings import SmtpSettings

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Executor

    from mcptrio.sources.smtp.conversation import Conversation

LEAVE = 0.5
"""Seconds that senders are given, at the end, to read that it is one."""
LEAST_INCOMING = 256 * 1024 * 1024
"""Bytes of memory that mails which come in may take at a time; more where a single mail may be big."""


class SmtpServer:
    """One run of the server on a socket that listens. `serve` is the thread's body; the rest is Trio's."""

    def __init__(
        self,
        settings: SmtpSettings,
        listener: socket.socket,
        inbox: Inbox,
        counts: Counts,
        on_ready: Callable[[], None],
    ) -> None:
        self.counts = counts
        self.incoming = 0
        self.most_incoming = max(LEAST_INCOMING, 8 * settings.max_size)
        self._open: set[Conversation] = set()
        self._settings = settings
        self._listener = listener
        self._inbox = inbox
        self._on_ready = on_ready
        self._trio = trio.lowlevel.current_trio_token()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._left: asyncio.Event | None = None
        self.stopping = False
        """Whether it was told to stop."""

    def left(self, conversation: Conversation) -> None:
        """A conversation has ended."""
        self._open.discard(conversation)
        if self._left is not None:
            self._left.set()

    def stop_nowait(self) -> None:
        """Have the thread end, within a second or so; idempotent, at any time.

        Senders are told to come again, and what was not answered is not taken.
        """
        self.stopping = True
        # Either the loop is seen here, or the thread sees that it is to stop: it looks after it has set it.
        if self._loop is not None and self._stop is not None:
            try:
                self._loop.call_soon_threadsafe(self._stop.set)
            except RuntimeError:
                return  # the loop has ended

    def serve(self) -> None:
        """Serve until stopped. Blocks; closes the socket."""
        import asyncio

        try:
            asyncio.run(self._main())
        finally:
            self._listener.close()

    async def _main(self) -> None:
        import asyncio
        from concurrent.futures import ThreadPoolExecutor

        from mcptrio.sources.smtp.conversation import LEAVING, TOO_MANY, Conversation, Desk, Refusal

        loop = asyncio.get_running_loop()
        # Tasks of connections that were reset end with an error that nobody asks for: that is no news.
        loop.set_exception_handler(self._failed)
        self._stop = asyncio.Event()
        left = self._left = asyncio.Event()
        self._loop = loop
        if self.stopping:
            return
        settings = self._settings
        timeout, longest = seconds(settings.timeout), seconds(settings.session_timeout)
        slots = asyncio.Semaphore(settings.queue)
        # One thread: parsing holds the interpreter, so that more of them would not be faster.
        parser = ThreadPoolExecutor(1, thread_name_prefix=f"parser of {settings.name}")

        async def take(sender: str, recipients: tuple[str, ...], content: bytes) -> str:
            return await self._take(parser, slots, sender, recipients, content)

        desk = Desk(settings, take, self.counts)

        def conversation() -> asyncio.Protocol:
            if self.stopping:
                return Refusal(LEAVING)
            if len(self._open) >= settings.max_sessions:
                self.counts.refused_sessions += 1
                return Refusal(TOO_MANY)
            made = Conversation(desk, self, settings, timeout, longest)
            self._open.add(made)
            return made

        try:
            server = await loop.create_server(conversation, sock=self._listener)
            self._tell(self._on_ready)
            await self._stop.wait()
            await self._leave(loop, left)
            server.close()
        finally:
            parser.shutdown(wait=False, cancel_futures=True)

    async def _leave(self, loop: asyncio.AbstractEventLoop, left: asyncio.Event) -> None:
        """Take no more connections, and end all of them, within `LEAVE` seconds."""
        import asyncio

        from mcptrio.sources.smtp.conversation import LEAVING

        # Not by closing the server yet: asyncio would forget the connections that it has accepted and not begun.
        loop.remove_reader(self._listener.fileno())
        for each in tuple(self._open):
            each.leave(LEAVING)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=LEAVE)
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE):
                while self._open:
                    left.clear()
                    await left.wait()
        for each in tuple(self._open):
            each.cut()
        for _ in range(10):  # what was cut ends in the next rounds of the loop
            await asyncio.sleep(0)

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        if not isinstance(context.get("exception"), OSError):
            self.counts.failures += 1

    def _tell(self, function: Callable[..., object], *args: object) -> None:
        """Have something called on Trio's thread, in the order of these calls; nothing when Trio has ended."""
        try:
            self._trio.run_sync_soon(function, *args)
        except trio.RunFinishedError:
            self.stopping = True

    async def _take(
        self,
        parser: Executor,
        slots: asyncio.Semaphore,
        sender: str,
        recipients: tuple[str, ...],
        content: bytes,
    ) -> str:
        """Parse a mail, hand it over and wait until it is kept and announced; what its sender is told."""
        import asyncio

        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds(self._settings.patience)):
                envelope, found, digest = await loop.run_in_executor(
                    parser, _read, sender, recipients, content, self._settings.max_attachment
                )
                async with slots:
                    id = await self._hand_over(loop, Delivery(envelope, found, digest))
        except TimeoutError:
            self.counts.refused_busy += 1
            return "451 4.3.2 Too busy to take this mail now, try again later"
        return f"250 2.6.0 OK, message {id}"

    async def _hand_over(self, loop: asyncio.AbstractEventLoop, delivery: Delivery) -> int:
        import asyncio

        answered: asyncio.Future[int] = loop.create_future()

        def answer(id: int) -> None:
            if not answered.done():
                answered.set_result(id)

        def answer_soon(id: int) -> None:
            try:
                loop.call_soon_threadsafe(answer, id)
            except RuntimeError:
                return  # the server has ended: nobody waits for the answer

        delivery.answer = answer_soon
        self._tell(self._inbox.put, delivery)
        try:
            id = await answered
        except asyncio.CancelledError:
            self._tell(self._inbox.abandon, delivery)
            raise
        self._tell(self._inbox.answered, delivery)
        return id


def _read(
    sender: str, recipients: tuple[str, ...], content: bytes, max_attachment: int
) -> tuple[Envelope, Found, bytes]:
    """In the parser's thread."""
    from mcptrio.sources.mail.headers import line
    from mcptrio.sources.mail.parsing import parse

    envelope = Envelope(line(sender), tuple(map(line, recipients)))
    digest = hashlib.blake2b(content, digest_size=32)
    digest.update(repr((sender, recipients)).encode("utf-8", "backslashreplace"))
    return envelope, parse(content, max_attachment), digest.digest()
