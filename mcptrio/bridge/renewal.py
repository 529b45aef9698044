"""A session's subscriptions, on a new connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from mcptrio.bridge import extension, telling
from mcptrio.bridge.label import Label
from mcptrio.bridge.session import Session
from mcptrio.protocol import ErrorResponse, Request, Response

WINDOW = 8
"""How many subscriptions are made again at the same time: below what servers refuse as too many."""

Answer = Response | ErrorResponse
Ask = Callable[[str, object, Callable[[Answer], None]], None]


class Renewal:
    """Subscribes again to what a session has, a few at a time, and tells the host what it may have missed.

    A plain URI is told once. A label goes on from what the host has, and nothing is told but what the server says; one
    that is not honoured any more is told by a gap, and forgotten. `on_labels` is called when that is decided for
    all of them.
    """

    def __init__(
        self, session: Session, ask: Ask, to_host: Callable[[bytes], None], on_labels: Callable[[], None]
    ) -> None:
        self._session = session
        self._ask = ask
        self._to_host = to_host
        self._on_labels = on_labels
        self._rest: deque[str | Label] = deque([*session.labels.values(), *session.uris])
        self._undecided = len(session.labels)
        for _ in range(WINDOW):
            self._next()

    def holds(self, request: Request) -> bool:
        """Whether this request of the host's must wait, because over HTTP it could overtake a label's."""
        return bool(self._undecided) and request.method in ("resources/subscribe", "resources/unsubscribe")

    def _next(self) -> None:
        while self._rest:
            each = self._rest.popleft()
            if isinstance(each, Label):
                self._ask("resources/subscribe", each.params(), partial(self._label_answered, each))
                return
            if each in self._session.uris:
                self._ask("resources/subscribe", {"uri": each}, partial(self._uri_answered, each))
                return

    def _uri_answered(self, uri: str, answer: Answer) -> None:
        self._next()
        if uri in self._session.uris:
            if isinstance(answer, ErrorResponse):
                del self._session.uris[uri]  # the host reads, and learns why
            self._to_host(telling.updated(uri))

    def _label_answered(self, label: Label, answer: Answer) -> None:
        self._next()
        self._undecided -= 1
        honoured = None if isinstance(answer, ErrorResponse) else extension.answered(answer.result)
        if honoured is not None:
            label.acknowledged(honoured)
        elif self._session.labels.get(label.name) is label:
            del self._session.labels[label.name]
            if isinstance(answer, Response) and not label.has_selector:
                # That is what a server without the extension makes of it.
                self._session.uris[label.uri] = None
            self._to_host(telling.gap(label, telling.REFUSED))
        if not self._undecided:
            self._on_labels()
