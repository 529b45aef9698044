"""A mailbox that fills itself: seeded messages, a bounded number of them kept. Sans-IO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from random import Random

from msgspec import Struct, field

URGENCIES = ("low", "medium", "high")

_SUBJECTS = {
    "low": (
        "Lunch on {day}?",
        "Newsletter {number}",
        "Photos of the summer party",
        "Minutes of the meeting on {day}",
    ),
    "medium": (
        "Review of change {number}",
        "Invoice {number}",
        "Offer {number} ends on {day}",
        "Your question",
    ),
    "high": (
        "Server {number} does not answer",
        "Contract {number} must leave today",
        "Please call me back at once",
    ),
}
_SENTENCES = (
    "I had a look at it this morning.",
    "The numbers are in the attachment.",
    "Nobody has answered so far.",
    "It should not take more than an hour.",
    "Could you tell the others, please?",
    "We will talk about it on {day}.",
    "The reference is {number}.",
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")


class Message(Struct, frozen=True, rename={"sender": "from", "recipient": "to"}):
    """One mail. Ids count from 1 and are never used twice."""

    id: int
    sender: str
    recipient: str
    subject: str
    urgency: str
    received_at: datetime
    body: str


class MailboxStatistics(Struct, frozen=True):
    """How many messages came in all, are kept and were evicted; and how many of each urgency came."""

    received: int
    kept: int
    evicted: int
    by_urgency: dict[str, int] = field(default_factory=dict)


class Mailbox:
    """The newest messages, at most `keep`, and the generator of the next one.

    The same seed, senders and weights give the same sequence of messages (but for `received_at`, which is
    told). Every method is synchronous and complete.
    """

    def __init__(
        self, *, seed: int, senders: Sequence[str], recipient: str, weights: Mapping[str, float], keep: int
    ) -> None:
        self._random = Random(seed)
        self._senders = tuple(senders)
        self._recipient = recipient
        self._weights = [weights.get(urgency, 0.0) for urgency in URGENCIES]
        self._keep = keep
        self._messages: dict[int, Message] = {}
        self._received = 0
        self._by_urgency = dict.fromkeys(URGENCIES, 0)

    def receive(self, at: datetime) -> tuple[Message, Message | None]:
        """Let the next message come in. Returns it, and the one that had to go for it, if any."""
        message = self._next(at)
        self._messages[message.id] = message
        self._by_urgency[message.urgency] += 1
        evicted = None
        if len(self._messages) > self._keep:
            evicted = self._messages.pop(next(iter(self._messages)))
        return message, evicted

    def _next(self, at: datetime) -> Message:
        random = self._random
        self._received += 1
        [urgency] = random.choices(URGENCIES, self._weights)
        words = {"day": random.choice(_DAYS), "number": str(random.randint(100, 999))}
        sentences = random.sample(_SENTENCES, k=random.randint(1, 3))
        return Message(
            id=self._received,
            sender=random.choice(self._senders),
            recipient=self._recipient,
            subject=random.choice(_SUBJECTS[urgency]).format(**words),
            urgency=urgency,
            received_at=at,
            body=" ".join(sentences).format(**words),
        )

    def get(self, id: int) -> Message | None:
        """The message with that id; None if there never was one, or it was evicted."""
        return self._messages.get(id)

    def newest(self, count: int | None = None) -> list[Message]:
        """The newest messages, newest first; all that are kept without a count."""
        messages = list(reversed(self._messages.values()))
        return messages if count is None else messages[:count]

    def statistics(self) -> MailboxStatistics:
        """A snapshot of the counts."""
        kept = len(self._messages)
        return MailboxStatistics(self._received, kept, self._received - kept, dict(self._by_urgency))
