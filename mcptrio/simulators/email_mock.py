"""The email mock (`kind = "email_mock"`): mail that comes in by itself, as live resources.

| resource | what it is | what is reported |
|---|---|---|
| `email://messages/{id}` | one kept message | created when it comes in, deleted when it is evicted |
| `email://live-feed` | counts and the newest messages | updated with every message |
"""

from __future__ import annotations

from datetime import UTC, datetime

import trio
from msgspec import Struct, field

from mcptrio.catalog import ResourceNotFound
from mcptrio.live import Change, Feed
from mcptrio.live.change import CREATED, DELETED, UPDATED
from mcptrio.simulators.mailbox import URGENCIES, Mailbox, MailboxStatistics, Message
from mcptrio.sources import Registry
from mcptrio.sources.outstanding import Outstanding

MESSAGES = "email://messages/{id}"
LIVE_FEED = "email://live-feed"

FIRST_MESSAGE = 0.25
"""Longest time, in seconds, from the start of the task to its first message."""

NEWEST = 10
"""How many messages the live feed shows."""


class EmailMockSettings(Struct, tag_field="kind", tag="email_mock", forbid_unknown_fields=True, kw_only=True):
    """A `[[source]]` of `kind = "email_mock"`. The same settings give the same messages, but for their times.

    Raises:
        ValueError: a setting that cannot work; the text names it.
    """

    name: str = "email"
    seed: int = 0
    rate: float = 1.0
    """Messages per second; a burst counts as one."""
    senders: list[str] = field(
        default_factory=lambda: [
            "ada@example.org",
            "grace@example.org",
            "alan@example.net",
            "edsger@example.com",
        ]
    )
    recipient: str = "you@example.org"
    urgency: dict[str, float] = field(default_factory=lambda: {"low": 6.0, "medium": 3.0, "high": 1.0})
    """How often messages of each urgency come, in relation to one another."""
    burst_every: int = 10
    """Every how manieth arrival is a burst; 0 for none."""
    burst_size: int = 3
    """How many messages a burst brings, at once and in order."""
    keep: int = 100
    """How many messages are kept; beyond, the oldest is evicted, which deletes its resource."""

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("`name` is empty")
        if not 0.001 <= self.rate <= 10_000:
            raise ValueError(
                f"`rate` is {self.rate:g}, but must be between 0.001 and 10000 messages per second"
            )
        if not self.senders or not all(self.senders):
            raise ValueError("`senders` needs at least one sender, and none empty")
        unknown = sorted(set(self.urgency) - set(URGENCIES))
        if unknown:
            raise ValueError(f"`urgency` knows {', '.join(URGENCIES)}, not {unknown[0]!r}")
        if not all(0 <= weight <= 1e6 for weight in self.urgency.values()) or not sum(self.urgency.values()):
            raise ValueError("`urgency` needs weights from 0 to 1000000, and one above 0")
        if not 0 <= self.burst_every <= 1_000_000:
            raise ValueError("`burst_every` must be between 0 (no bursts) and 1000000")
        if not 1 <= self.burst_size <= 1000:
            raise ValueError("`burst_size` must be between 1 and 1000")
        if not 1 <= self.keep <= 100_000:
            raise ValueError("`keep` must be between 1 and 100000")


class LiveFeed(Struct, frozen=True):
    """What `email://live-feed` reads as; messages newest first."""

    statistics: MailboxStatistics
    newest: list[Message]


class EmailMock:
    """One installed email mock: the mailbox, what is not yet reported of it, and the task's body.

    Both are here and not in the task, so a restart of the task reports nothing twice and loses nothing. A
    message can be read before it is reported.
    """

    def __init__(self, settings: EmailMockSettings) -> None:
        self._settings = settings
        self._mailbox = Mailbox(
            seed=settings.seed,
            senders=settings.senders,
            recipient=settings.recipient,
            weights=settings.urgency,
            keep=settings.keep,
        )
        self._outstanding = Outstanding()
        self._arrivals = 0

    async def run(self, feed: Feed) -> None:
        """Let mail come in, evenly, until cancelled. The body of a task.

        While the hub is slow, mail comes in later: what was not let in is not made up for.
        """
        gap = 1 / self._settings.rate
        feed.live()
        await self._outstanding.report_to(feed)
        due = trio.current_time() + min(gap, FIRST_MESSAGE)
        while True:
            await trio.sleep_until(due)
            self._arrive(feed.name)
            await self._outstanding.report_to(feed)
            due = max(due + gap, trio.current_time())

    def _arrive(self, source: str) -> None:
        """Let one message come in, or a burst."""
        self._arrivals += 1
        every = self._settings.burst_every
        is_burst = every > 0 and self._arrivals % every == 0
        for _ in range(self._settings.burst_size if is_burst else 1):
            message, evicted = self._mailbox.receive(datetime.now(UTC))
            changes = [_change(CREATED, message, source)]
            if evicted is not None:
                changes.append(_change(DELETED, evicted, source))
            counted = {"statistics": self._mailbox.statistics()}
            changes.append(Change(uri=LIVE_FEED, kind=UPDATED, data=counted, source=source))
            self._outstanding.add(changes)

    async def read_message(self, id: str) -> Message:
        """One message.

        Raises:
            ResourceNotFound: there never was one with that id, or it was evicted.
        """
        await trio.lowlevel.checkpoint()
        # Only the one way of writing a number names its message: resources have one URI each.
        message = self._mailbox.get(int(id)) if id.isdecimal() and len(id) <= 20 else None
        if message is None or str(message.id) != id:
            raise ResourceNotFound(MESSAGES.replace("{id}", id))
        return message

    async def list_messages(self) -> list[str]:
        """The URIs of all kept messages, newest first."""
        await trio.lowlevel.checkpoint()
        return [uri_of(message) for message in self._mailbox.newest()]

    async def read_live_feed(self) -> LiveFeed:
        """Counts, and the newest messages."""
        await trio.lowlevel.checkpoint()
        return LiveFeed(self._mailbox.statistics(), self._mailbox.newest(NEWEST))


def _change(kind: str, message: Message, source: str) -> Change:
    metadata: dict[str, object] = {
        "author": message.sender,
        "size": len(message.body.encode()),
        "tags": [message.urgency],
    }
    return Change(uri=uri_of(message), kind=kind, data=message, metadata=metadata, source=source)


def uri_of(message: Message) -> str:
    """The URI of a message."""
    return MESSAGES.replace("{id}", str(message.id))


def install(registry: Registry, settings: EmailMockSettings) -> None:
    """Offer a mailbox as resources, and have mail come in.

    Raises:
        ValueError: the source's name is taken, or there is an email mock already.
    """
    mock = EmailMock(settings)
    registry.catalog.add_template(
        MESSAGES,
        mock.read_message,
        name="message",
        title="A message",
        description="A message of the simulated mailbox",
        mime_type="application/json",
        list=mock.list_messages,
    )
    registry.catalog.add_resource(
        LIVE_FEED,
        mock.read_live_feed,
        name="live-feed",
        title="Live feed",
        description="Counts and the newest messages of the simulated mailbox",
        mime_type="application/json",
    )
    # Mail comes in whether somebody looks or not.
    registry.add_source(settings.name, mock.run, pattern=(MESSAGES, LIVE_FEED), always=True)
