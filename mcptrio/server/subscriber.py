"""A subscriber: an outbox and an encoder. Who ends it is the only other difference between its two kinds."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Protocol

from mcptrio.catalog import ListKind
from mcptrio.live import Outbox
from mcptrio.protocol import LegacyCodec, ModernCodec, RequestId
from mcptrio.protocol.questions import Level


class Recipient(Protocol):
    """Where a subscriber's frames go: a peer, as the flusher sees it."""

    def is_behind(self) -> bool:
        """More is pending than the bound."""

    def park(self, resume: Callable[[], None]) -> None:
        """Call `resume` once the recipient is no longer behind, unless it ends first."""

    @property
    def frame(self) -> Callable[[bytes], bytes]:
        """Makes a message what `push_frames` takes. Recipients of one kind have the same function."""

    def push_frames(self, frames: Sequence[bytes]) -> None:
        """Send messages made by `frame`."""

    def fail(self) -> None:
        """End it: something that it is owed cannot be sent."""


class Subscriber:
    """Somebody on a peer who is told of changes.

    `tag` is what sets its messages apart from another subscriber's about the same key, so that equal messages are
    encoded once: a listen's id, None for a session.
    """

    __slots__ = ("_release", "is_queued", "outbox", "ready", "recipient", "tag")

    def __init__(
        self, recipient: Recipient, ready: Callable[[Subscriber], None], tag: Hashable = None
    ) -> None:
        self.recipient = recipient
        self.tag = tag
        self.ready: Callable[[], None] = lambda: ready(self)
        self.outbox = Outbox(self.ready)
        self.is_queued = False
        """Whether it waits for its turn, or for its recipient. The flusher's."""
        self._release: Callable[[], None] | None = None

    def want_list(self, want: Callable[[], Callable[[], None]]) -> None:
        """Want what can change the list of resources until `release`: `want` is called once, however often this is."""
        if self._release is None:
            self._release = want()

    def release(self) -> None:
        """Want nothing any more but what is subscribed. Synchronous and idempotent."""
        release, self._release = self._release, None
        if release is not None:
            release()

    def encode(self, key: Hashable) -> bytes:
        """The message that tells of a key: a resource's URI, or a list that changed."""
        raise AssertionError("a subscriber is a session or a listen")

    def encode_change(self, uri: bytes, change: bytes) -> bytes:
        """The message that tells of a change, or of a gap, as the extension has it; both are JSON."""
        raise AssertionError("a subscriber is a session or a listen")


class Session(Subscriber):
    """The state that `initialize` makes (2025-11-25). It lives and ends with its peer."""

    __slots__ = ("_codec", "capabilities", "level")

    def __init__(self, recipient: Recipient, ready: Callable[[Subscriber], None], codec: LegacyCodec) -> None:
        super().__init__(recipient, ready)
        self._codec = codec
        self.capabilities: Mapping[str, object] = {}
        """What the client has declared. Untrusted."""
        self.level: Level = "info"
        """The least level of log messages that it wants."""

    def encode(self, key: Hashable) -> bytes:
        if isinstance(key, ListKind):
            return self._codec.list_changed(key.value)
        return self._codec.updated(str(key))

    def encode_change(self, uri: bytes, change: bytes) -> bytes:
        return self._codec.changed(uri, change)


class Listen(Subscriber):
    """One `subscriptions/listen` request (2026-07-28). It ends by the client's cancel, or with a result by us."""

    __slots__ = ("_codec", "id")

    def __init__(
        self, recipient: Recipient, ready: Callable[[Subscriber], None], codec: ModernCodec, id: RequestId
    ) -> None:
        super().__init__(recipient, ready, (type(id), id))
        self._codec = codec
        self.id = id

    def encode(self, key: Hashable) -> bytes:
        if isinstance(key, ListKind):
            return self._codec.list_changed(key.value, self.id)
        return self._codec.updated(str(key), self.id)

    def encode_change(self, uri: bytes, change: bytes) -> bytes:
        return self._codec.changed(uri, change, self.id)

    def final_result(self) -> bytes:
        """The result that ends this listen."""
        return self._codec.listen_ended(self.id)
