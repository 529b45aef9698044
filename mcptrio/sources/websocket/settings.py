"""What a user writes about a WebSocket source, and the checks that need no network."""

from __future__ import annotations

import re
from typing import ClassVar
from urllib.parse import urlsplit

from msgspec import Struct, field

from mcptrio.sources.duration import Duration, seconds_between
from mcptrio.sources.headers import check_headers, revealed_headers, shown_headers
from mcptrio.sources.pointer import Pointer
from mcptrio.sources.secret import Secret
from mcptrio.sources.shown_url import shown_url
from mcptrio.sources.websocket.greeting import check_message, revealed_messages
from mcptrio.sources.websocket.route import OTHERS, Route
from mcptrio.wire.dial import Endpoint, parse_url

_SUBPROTOCOL = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}")
_OURS = frozenset(
    {
        "connection",
        "content-length",
        "host",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
        "transfer-encoding",
        "upgrade",
    }
)


class WebsocketSettings(Struct, tag_field="kind", tag="websocket", forbid_unknown_fields=True, kw_only=True):
    """A `[[source]]` of `kind = "websocket"`: a service that sends events, as JSON messages.

    Each `[[source.route]]` leads events of one `type` to a resource. `type`, `id` and `data` are JSON pointers into a
    message. Durations are strings such as `"30s"`, `"500ms"`, `"5m"`, or seconds. The repr shows no header's value
    and no message.

    Raises:
        ValueError: a setting that cannot work; the text names it.
    """

    MOST_TIMEOUT: ClassVar[float] = 600.0
    LEAST_PING: ClassVar[float] = 1.0
    MOST_PING: ClassVar[float] = 3600.0
    LEAST_RECONNECT: ClassVar[float] = 0.1
    MOST_RECONNECT: ClassVar[float] = 86_400.0
    MOST_SIZE: ClassVar[int] = 16 * 1024 * 1024
    MOST_KEPT: ClassVar[int] = 100_000
    MOST_KEPT_BYTES: ClassVar[int] = 1024 * 1024 * 1024
    MOST_REMEMBERED: ClassVar[int] = 1_000_000
    MOST_LINGER: ClassVar[float] = 30 * 86_400.0

    name: str
    url: str
    route: list[Route]
    type: str | None = None
    """Where the event type is. Without it every message is an event, and goes to the route of type `*`."""
    id: str | None = None
    """Where the event id is. With it, an event that comes again is taken once."""
    data: str = ""
    """Where the content of the resource is; the whole message by default."""
    headers: dict[str, str | Secret] = field(default_factory=dict)
    """Headers of the request that opens the WebSocket, such as Authorization."""
    subprotocols: list[str] = field(default_factory=list)
    first: list[str | dict[str, object]] = field(default_factory=list)
    """Messages to send after connecting, in order: texts, or tables as JSON. Where a table is `{ env = "NAME" }` or
    `{ file = "path" }` and no more, the secret is put in its place."""
    timeout: Duration = "10s"
    """For connecting as a whole, to the last of the `first` messages; and for each later send."""
    ping: Duration = "30s"
    """How often the connection is tried."""
    ping_timeout: Duration = "10s"
    """How long nothing at all may come after a ping until the connection counts as dead."""
    reconnect: Duration = "1s"
    """Longest pause before connecting again; doubled with each failure in a row. The pause is a random part of it."""
    reconnect_max: Duration = "60s"
    """What it is doubled up to."""
    max_size: int = 1024 * 1024
    """Largest message, in characters; one that is larger ends the connection."""
    keep: int = 1000
    """How many resources are kept; beyond, the one that rested longest is evicted, which deletes it."""
    keep_bytes: int = 64 * 1024 * 1024
    """How many bytes they may have together; beyond, the same."""
    remember: int = 10_000
    """How many of the last event ids are remembered."""
    mime_type: str = "application/json"
    linger: Duration = "30s"
    """How long it stays connected after the last client that wanted it has gone."""
    always: bool = False
    """Connected from the start of the server to its end, whether anybody wants it or not."""

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("`name` is empty")
        self._check_url()
        self._check_routes()
        for name in ("type", "id", "data"):
            try:
                Pointer(getattr(self, name) or "")
            except ValueError as error:
                raise ValueError(f"`{name}`: {error}") from None
        check_headers(self.headers, _OURS, "the WebSocket")
        for each in self.subprotocols:
            if _SUBPROTOCOL.fullmatch(each) is None:
                raise ValueError(f"`subprotocols`: {each[:100]!r} is no name of one")
        if len(set(self.subprotocols)) != len(self.subprotocols):
            raise ValueError("`subprotocols` has one of them twice")
        for message in self.first:
            try:
                check_message(message)
            except ValueError as error:
                raise ValueError(f"`first`: {error}") from None
        self._check_numbers()

    def _check_url(self) -> None:
        try:
            sound = urlsplit(self.url).scheme in ("ws", "wss") and bool(parse_url(self.url).port)
        except ValueError:
            sound = False
        if not sound:
            raise ValueError(
                "`url` must be a ws or wss URL without user and password, such as wss://example.org/events"
            )

    def _check_routes(self) -> None:
        if not self.route:
            raise ValueError("`route` is empty: say with [[source.route]] where events go")
        seen: set[tuple[str, str]] = set()
        for route in self.route:
            if self.type is None and route.type != OTHERS:
                raise ValueError(
                    f"`type` is missing: there is a route for {route.type!r}, so say where in a message its type is"
                )
            if (route.type, route.uri) in seen:
                raise ValueError(f"`route` has events of type {route.type!r} go to {route.uri} twice")
            seen.add((route.type, route.uri))

    def _check_numbers(self) -> None:
        seconds_between("timeout", self.timeout, 0.001, self.MOST_TIMEOUT)
        seconds_between("ping", self.ping, self.LEAST_PING, self.MOST_PING)
        seconds_between("ping_timeout", self.ping_timeout, self.LEAST_PING, self.MOST_PING)
        least = seconds_between("reconnect", self.reconnect, self.LEAST_RECONNECT, self.MOST_RECONNECT)
        seconds_between("reconnect_max", self.reconnect_max, least, self.MOST_RECONNECT)
        seconds_between("linger", self.linger, 0.0, self.MOST_LINGER)
        _check_between("max_size", self.max_size, self.MOST_SIZE, "characters")
        _check_between("keep", self.keep, self.MOST_KEPT, "resources")
        _check_between("keep_bytes", self.keep_bytes, self.MOST_KEPT_BYTES, "bytes")
        _check_between("remember", self.remember, self.MOST_REMEMBERED, "ids")

    def uris(self) -> tuple[str, ...]:
        """The URIs and templates of all routes, each once."""
        return tuple(dict.fromkeys(route.uri for route in self.route))

    def endpoint(self) -> Endpoint:
        """Where to connect to."""
        return parse_url(self.url, default_path="/")

    def revealed_headers(self) -> dict[str, str]:
        """The request headers with their secrets, names in lower case.

        Raises:
            SecretMissing: a secret is not where the settings say, or is no header's value.
        """
        return revealed_headers(self.headers, self.name)

    def revealed_first(self) -> tuple[str, ...]:
        """The first messages, as they are sent, with their secrets.

        Raises:
            SecretMissing: a secret is not where the settings say.
        """
        return revealed_messages(self.first, self.name)

    def _shown(self) -> list[tuple[str, object]]:
        instead: dict[str, object] = {
            "headers": shown_headers(self.headers),
            "url": shown_url(self.url),
            "first": ["***"] * len(self.first),
        }
        return [(name, instead.get(name, getattr(self, name))) for name in self.__struct_fields__]

    def __repr__(self) -> str:
        return f"WebsocketSettings({', '.join(f'{name}={value!r}' for name, value in self._shown())})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return self._shown()


def _check_between(name: str, value: int, most: int, unit: str) -> None:
    if not 1 <= value <= most:
        raise ValueError(f"`{name}` is {value}, but must be between 1 and {most} {unit}")
