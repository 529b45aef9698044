"""A subscription of `io.mcptrio/live`, and what its host was told of it last."""

from __future__ import annotations

from msgspec import UNSET, Raw

from mcptrio.bridge.extension import Honoured, Selection, members
from mcptrio.protocol.extension import SUBSCRIPTION_URI, SUBSCRIPTIONS_KEY


class Label:
    """One labelled subscription of a session or a listen, which outlives connections.

    `since` is where it goes on: the acknowledged cursor, then that of the last delivery. Both are of one life of the
    server. What is acknowledged as not recovered counts from its first delivery on, the gap: until the host has that,
    another server must be told what it had before.
    """

    __slots__ = ("_epoch", "_number", "_present", "_selection", "_untold", "name", "uri")

    def __init__(self, asked: Selection, selection: Raw, uri: str) -> None:
        self.name = asked.label
        self.uri = uri
        self._selection = selection
        self._epoch, self._number = ("", 0) if asked.since is UNSET else _parts(asked.since)
        self._present: str | None = None
        self._untold = True

    @property
    def since(self) -> str:
        """The cursor to go on from."""
        return f"{self._epoch}.{self._number}"

    @property
    def number(self) -> int:
        """The offset that the host was told last."""
        return self._number

    @property
    def has_selector(self) -> bool:
        """Whether it is a template's or a glob's, so that its URI stands for no resource."""
        return self.uri.startswith(SUBSCRIPTION_URI)

    def is_meant_by(self, uri: str | None) -> bool:
        """Whether unsubscribing from this URI ends it."""
        return uri in (self.uri, SUBSCRIPTION_URI + self.name)

    def again(self) -> dict[str, object]:
        """The subscription as it is asked for on a new connection. Its acknowledgement is waited for from here on."""
        self._present, self._untold = None, True
        return {**members(self._selection), "since": self.since}

    def params(self) -> dict[str, object]:
        """The params of the `resources/subscribe` that makes it again."""
        return {"uri": self.uri, "_meta": {SUBSCRIPTIONS_KEY: self.again()}}

    def acknowledged(self, honoured: Honoured) -> None:
        """The server has answered. Over HTTP, first deliveries may have come before that."""
        self._present, number = _parts(honoured.cursor)
        if not self._untold:
            self._epoch = self._present
            if honoured.recovered:
                self._number = max(self._number, number)
        elif honoured.recovered or not self._epoch:
            self._epoch, self._number = self._present, number

    def delivered(self, number: int) -> None:
        """The host is sent the change, or the gap, of this offset."""
        if self._present == self._epoch and number <= self._number:
            return  # of the subscription whose place this one took
        self._epoch = self._present or self._epoch
        self._number, self._untold = number, False


def _parts(cursor: str) -> tuple[str, int]:
    epoch, _, number = cursor.partition(".")
    return epoch, int(number)
