"""The SMTP inlet (`kind = "smtp"`): a port that takes mail, and the mail as live resources.

| resource | what it is | what is reported |
|---|---|---|
| `mail://messages/{id}` | one kept message: headers, text, list of attachments | created when it comes in, deleted when it is evicted |
| `mail://messages/{id}/attachments/{number}` | the content of an attachment | nothing of its own |
| `mail://live-feed` | counts and the newest messages | updated with every message |
"""

from __future__ import annotations

import base64
import errno
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random

import msgspec
import trio
from msgspec import Struct

from mcptrio.catalog import InvalidArgument, ResourceNotFound
from mcptrio.live import Change, Feed
from mcptrio.live.change import CREATED, DELETED, UPDATED
from mcptrio.log import get_logger
from mcptrio.protocol.types import Annotations, Resource, ResourceContents
from mcptrio.sources.duration import seconds
from mcptrio.sources.mail import (
    Heading,
    Kept,
    Mail,
    Mailbox,
    MailboxStatistics,
    Retention,
    Summary,
    metadata_of,
)
from mcptrio.sources.outstanding import Outstanding
from mcptrio.sources.registry import Registry
from mcptrio.sources.smtp.counts import Counts
from mcptrio.sources.smtp.delivery import Delivery, Inbox, Unanswered
from mcptrio.sources.smtp.server import SmtpServer
from mcptrio.sources.smtp.settings import SmtpSettings
from mcptrio.supervision.backoff import Backoff

_log = get_logger("mcptrio.sources")

NEWEST = 10
"""How many messages the live feed shows."""
BACKLOG = 128
"""How many connections may wait to be accepted."""
MOST_SLEEP = 3600.0
"""Longest time, in seconds, between two looks at the wall clock for what is too old."""


class LiveFeed(Struct, frozen=True):
    """What the live feed reads as; messages newest first."""

    statistics: MailboxStatistics
    server: Counts
    newest: list[Summary]


def _now() -> datetime:
    return datetime.now(UTC)


class Inlet:
    """One installed SMTP inlet: the mailbox, what is not yet reported of it, and the task's body.

    A sender reads 250 once its mail can be read and its change has been accepted by the hub's channel. What was
    taken is here and not in the task: a restart of the task loses nothing, and reports nothing twice. A mail that was
    taken but whose sender could not be told is known when it comes again. Mails of one connection are taken in their
    order.
    """

    def __init__(self, settings: SmtpSettings, *, now: Callable[[], datetime] = _now) -> None:
        """`now` gives the wall-clock time, for what mails are dated with and what is too old."""
        self.counts = Counts()
        self.port: int | None = None
        """The port that it listens on, once it does; a restart takes the same one."""
        self._settings = settings
        self._now = now
        self._mailbox = Mailbox(
            Retention(settings.keep, settings.keep_bytes, timedelta(seconds=seconds(settings.keep_for)))
        )
        self._outstanding = Outstanding()
        self._unanswered = Unanswered()
        # The server has its own thread for as long as it runs, and never waits for another one's.
        self._thread = trio.CapacityLimiter(1)
        self._encoder = trio.CapacityLimiter(1)

    async def run(self, feed: Feed) -> None:
        """Take mail until cancelled. The body of a task.

        While the port cannot be had the source is `failed`, with the reason, and tries again; the hub being slow
        makes senders wait, and at last come again later.
        """
        feed.count_by(lambda: msgspec.structs.asdict(self.counts))
        await self._outstanding.report_to(feed)
        with await self._listen(feed) as listener:
            inbox, ready = Inbox(self._abandoned), trio.Event()
            server = SmtpServer(self._settings, listener, inbox, self.counts, ready.set)
            failures: list[Exception] = []
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._serve, server, failures, nursery.cancel_scope)
                    try:
                        await ready.wait()
                        feed.live()
                        _log.info("listening for mail", host=str(self._settings.address), port=self.port)
                        await self._take_in(inbox, feed)
                    except (
                        Exception
                    ) as error:  # to be raised as itself: the nursery is nobody else's business
                        failures.append(error)
                    finally:
                        server.stop_nowait()
            finally:
                # The thread has ended, and everything that it wanted done here has been.
                inbox.close()
            if failures:
                raise failures[0]

    async def _serve(self, server: SmtpServer, failures: list[Exception], scope: trio.CancelScope) -> None:
        try:
            await trio.to_thread.run_sync(server.serve, limiter=self._thread)
            if not server.stopping:
                failures.append(RuntimeError("the SMTP server ended by itself"))
        except Exception as error:
            failures.append(error)
        scope.cancel(reason="the SMTP server has ended")

    async def _listen(self, feed: Feed) -> socket.socket:
        """A socket that listens; as soon as it can be had."""
        backoff, random = Backoff(initial=0.2, maximum=30.0), Random()
        failures = 0
        while True:
            try:
                listener = self._bound()
            except OSError as error:
                failures += 1
                feed.failed(self._in_words(error))
                await trio.sleep(backoff.delay(failures, random))
            else:
                return listener

    def _bound(self) -> socket.socket:
        address = self._settings.address
        listener = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6)
        try:
            listener.setblocking(False)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((str(address), self._settings.port if self.port is None else self.port))
            listener.listen(BACKLOG)
        except BaseException:
            listener.close()
            raise
        self.port = int(listener.getsockname()[1])
        return listener

    def _in_words(self, error: OSError) -> str:
        port = self._settings.port if self.port is None else self.port
        where = f"port {port} of {self._settings.address}"
        if error.errno == errno.EADDRINUSE:
            return f"{where} is in use by another program: end that one, or set another `port`"
        if error.errno in (errno.EACCES, errno.EPERM):
            return f"{where} is not allowed to this program: set a `port` from 1024"
        if error.errno == errno.EADDRNOTAVAIL:
            return f"this machine has no address {self._settings.address}: set another `host`"
        return f"{where} cannot be listened on: {error.strerror or error}"

    # From the server to the mailbox and the hub.

    async def _take_in(self, inbox: Inbox, feed: Feed) -> None:
        while True:
            if self._expire(feed.name):
                await self._outstanding.report_to(feed)
            delivery = await inbox.take(self._until_expiry())
            if delivery is not None:
                id = self._take(delivery, feed.name)
                await self._outstanding.report_to(feed)
                delivery.answer(id)

    def _take(self, delivery: Delivery, source: str) -> int:
        """Keep a mail, and queue what is to be reported; returns its id. One step."""
        known = self._unanswered.take(delivery.digest, trio.current_time())
        if known is not None:
            delivery.id = known
            return known
        id = delivery.id = self._mailbox.next_id
        found = delivery.found
        mail = Mail(
            id=id,
            received_at=self._now(),
            envelope=delivery.envelope,
            sender=found.sender,
            to=found.to,
            cc=found.cc,
            subject=found.subject,
            date=found.date,
            message_id=found.message_id,
            size=found.size,
            text=found.text,
            html=found.html,
            truncated=found.truncated,
            attachments=tuple(
                msgspec.structs.replace(attachment, uri=self._settings.attachment_uri(id, attachment.number))
                if attachment.number in found.contents
                else attachment
                for attachment in found.attachments
            ),
            defects=found.defects,
        )
        kept = Kept(mail, found.contents, found.keywords)
        gone = self._mailbox.add(kept)
        self._outstanding.add([self._change(CREATED, kept, source)])
        self._report_gone(gone, source)
        return id

    def _expire(self, source: str) -> bool:
        gone = self._mailbox.expire(self._now())
        if gone:
            self._report_gone(gone, source)
        return bool(gone)

    def _report_gone(self, gone: list[Kept], source: str) -> None:
        changes = [self._change(DELETED, kept, source) for kept in gone]
        counted = {"statistics": self._mailbox.statistics()}
        changes.append(Change(uri=self._settings.live_feed_uri, kind=UPDATED, data=counted, source=source))
        self._outstanding.add(changes)

    def _change(self, kind: str, kept: Kept, source: str) -> Change:
        mail = kept.mail
        uri, metadata = self._settings.message_uri(mail.id), metadata_of(mail, kept.tags)
        return Change(uri=uri, kind=kind, data=Heading.of(mail), metadata=metadata, source=source)

    def _until_expiry(self) -> float:
        due = self._mailbox.next_expiry()
        if due is None:
            return MOST_SLEEP
        return min(max((due - self._now()).total_seconds(), 0.0), MOST_SLEEP)

    def _abandoned(self, delivery: Delivery) -> None:
        if delivery.id is not None:
            self._unanswered.add(delivery.digest, delivery.id, trio.current_time())

    # What is read.

    async def read_message(self, id: str) -> Mail:
        """One message.

        Raises:
            ResourceNotFound: there never was one with that id, or it was evicted.
        """
        await trio.lowlevel.checkpoint()
        return self._kept(id).mail

    async def read_attachment(self, id: str, number: str) -> ResourceContents:
        """The content of an attachment.

        Raises:
            ResourceNotFound: the message has no such attachment, or has gone.
            InvalidArgument: it is larger than what is kept.
        """
        await trio.lowlevel.checkpoint()
        kept = self._kept(id)
        for attachment in kept.mail.attachments:
            if str(attachment.number) != number:
                continue
            content = kept.contents.get(attachment.number)
            if content is None:
                raise InvalidArgument(
                    f"the attachment has {attachment.size} bytes, and contents are kept up to "
                    f"{self._settings.max_attachment} bytes (`max_attachment`)"
                )
            blob = await trio.to_thread.run_sync(partial(_base64, content), limiter=self._encoder)
            uri = self._settings.attachment_uri(kept.mail.id, attachment.number)
            return ResourceContents(uri=uri, mime_type=attachment.mime_type, blob=blob)
        raise ResourceNotFound(f"{self._settings.messages_uri.replace('{id}', id)}/attachments/{number}")

    def _kept(self, id: str) -> Kept:
        # Only the one way of writing a number names its message: resources have one URI each.
        kept = self._mailbox.get(int(id)) if id.isdecimal() and len(id) <= 20 else None
        if kept is None or str(kept.mail.id) != id:
            raise ResourceNotFound(self._settings.messages_uri.replace("{id}", id))
        return kept

    async def list_messages(self) -> list[Resource]:
        """All kept messages, newest first. `lastModified` is when it came in."""
        await trio.lowlevel.checkpoint()
        return [
            Resource(
                uri=self._settings.message_uri(mail.id),
                name=str(mail.id),
                title=mail.subject or "(no subject)",
                mime_type="application/json",
                annotations=Annotations(last_modified=mail.received_at.isoformat()),
            )
            for mail in self._mailbox.newest()
        ]

    async def read_live_feed(self) -> LiveFeed:
        """Counts, and the newest messages."""
        await trio.lowlevel.checkpoint()
        newest = [self._summary(mail) for mail, _ in zip(self._mailbox.newest(), range(NEWEST), strict=False)]
        return LiveFeed(self._mailbox.statistics(), msgspec.structs.replace(self.counts), newest)

    def _summary(self, mail: Mail) -> Summary:
        return Summary(
            id=mail.id,
            uri=self._settings.message_uri(mail.id),
            received_at=mail.received_at,
            sender=mail.sender,
            subject=mail.subject,
            size=mail.size,
            attachments=len(mail.attachments),
        )

    def install(self, registry: Registry) -> None:
        """Offer the mail as resources, and have it taken: always, whether somebody looks or not.

        Raises:
            ValueError: the source's name or a URI is taken.
        """
        settings = self._settings
        catalog = registry.catalog
        catalog.add_template(
            settings.messages_uri,
            self.read_message,
            name="message",
            title="A message",
            description=f"A mail that came in at {settings.name}: headers, text, list of attachments",
            mime_type="application/json",
            list=self.list_messages,
        )
        catalog.add_template(
            settings.attachments_uri,
            self.read_attachment,
            name="attachment",
            title="An attachment",
            description=f"The content of an attachment of a mail that came in at {settings.name}",
        )
        catalog.add_resource(
            settings.live_feed_uri,
            self.read_live_feed,
            name="live-feed",
            title="Live feed",
            description=f"Counts and the newest mails that came in at {settings.name}",
            mime_type="application/json",
        )
        patterns = (settings.messages_uri, settings.live_feed_uri)
        registry.add_source(settings.name, self.run, pattern=patterns, always=True)


def install(registry: Registry, settings: SmtpSettings) -> None:
    """Offer a mailbox as resources, and have mail taken for it.

    Raises:
        ValueError: the source's name or a URI is taken.
    """
    Inlet(settings).install(registry)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
