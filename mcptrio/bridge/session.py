"""The host's 2025-11-25 session."""

from __future__ import annotations

from msgspec import Raw

from mcptrio.bridge.label import Label


class Session:
    """A session, as far as it must be made again: its `initialize`, its log level, and what it has subscribed."""

    __slots__ = ("asking", "initialized", "kinds", "labels", "level", "params", "uris")

    def __init__(self, params: Raw | None, kinds: tuple[str, ...]) -> None:
        self.params = params
        self.kinds = kinds
        self.initialized = False
        self.level: Raw | None = None
        self.uris: dict[str, None] = {}
        self.labels: dict[str, Label] = {}
        self.asking: dict[str, Label] = {}
        """What the host asks for and is not answered: it takes the place of the label of that name."""

    def forget(self, uri: str) -> None:
        """The host unsubscribes from this URI: that ends all that it stands for."""
        self.uris.pop(uri, None)
        for labels in (self.labels, self.asking):
            for label in [label for label in labels.values() if label.is_meant_by(uri)]:
                del labels[label.name]

    def delivered(self, name: str, offset: int) -> None:
        """The host is sent a change of this label."""
        for label in (self.labels.get(name), self.asking.get(name)):
            if label is not None:
                label.delivered(offset)

    def lost(self) -> list[Label]:
        """The connection has ended. Returns the labels whose place another one may have taken."""
        asking, self.asking = self.asking, {}
        return [self.labels[name] for name in asking if name in self.labels]
