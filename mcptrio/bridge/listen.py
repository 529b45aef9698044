"""A `subscriptions/listen` of the host's."""

from __future__ import annotations

import msgspec

from mcptrio.bridge import extension
from mcptrio.bridge.extension import Honoured, members
from mcptrio.bridge.label import Label
from mcptrio.bridge.params import acknowledged
from mcptrio.protocol import Request
from mcptrio.protocol.extension import SUBSCRIPTIONS_KEY
from mcptrio.protocol.types import Object


class Listen:
    """A listen, which outlives connections. What it names is what was acknowledged first."""

    __slots__ = ("_data", "acknowledged", "kinds", "labels", "request", "uris")

    def __init__(self, request: Request, data: bytes) -> None:
        self.request = request
        self._data = data
        self.acknowledged = False
        self.uris: tuple[str, ...] = ()
        self.kinds: tuple[str, ...] = ()
        self.labels: dict[str, Label] = {}

    def acknowledge(self, params: Object, honoured: dict[str, Honoured]) -> None:
        """It is acknowledged, the first time."""
        self.acknowledged = True
        self.uris, self.kinds = acknowledged(params)
        for name, (asked, selection) in extension.listened(self.request.params).items():
            if name in honoured:
                self.labels[name] = label = Label(asked, selection, asked.target)
                label.acknowledged(honoured[name])

    def again(self) -> bytes:
        """The request as it is sent on a new connection: as it was, but for where its labels go on. A label that the
        host was told is not honoured is left out.
        """
        if not self.acknowledged:
            return self._data
        message = members(self._data)
        params = members(message.get("params", b""))
        wanted: dict[str, object] = {**members(params.get("notifications", b""))}
        if wanted.pop(SUBSCRIPTIONS_KEY, None) is None:
            return self._data
        if self.labels:
            wanted[SUBSCRIPTIONS_KEY] = [label.again() for label in self.labels.values()]
        return msgspec.json.encode({**message, "params": {**params, "notifications": wanted}})
