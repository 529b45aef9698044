"""What a user writes about a poller, and the checks that need no network."""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import urlsplit

from msgspec import Struct, field

from mcptrio.catalog import UriTemplate, has_variables
from mcptrio.live import check_uri
from mcptrio.sources.duration import Duration, seconds_between
from mcptrio.sources.headers import check_headers, revealed_headers, shown_headers
from mcptrio.sources.pointer import Pointer
from mcptrio.sources.poller.items import VARIABLE, Shape
from mcptrio.sources.secret import Secret
from mcptrio.sources.shown_url import shown_url

_OURS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "if-modified-since",
        "if-none-match",
        "transfer-encoding",
    }
)


class PollerSettings(Struct, tag_field="kind", tag="poller", forbid_unknown_fields=True, kw_only=True):
    """A `[[source]]` of `kind = "poller"`: a JSON document over HTTP, asked for again and again.

    With `items` (a JSON pointer to a list) each item is a resource: `id` points into an item, and `uri` is a
    template with the variable `id`. Without it the whole document is one resource, whose URI is `uri`.
    Durations are strings such as `"30s"`, `"500ms"`, `"5m"`, or seconds. The repr shows no header's value.

    Raises:
        ValueError: a setting that cannot work; the text names it.
    """

    LEAST_EVERY: ClassVar[float] = 0.1
    MOST_EVERY: ClassVar[float] = 30 * 86_400.0
    MOST_TIMEOUT: ClassVar[float] = 600.0
    MOST_BODY: ClassVar[int] = 64 * 1024 * 1024
    MOST_LINGER: ClassVar[float] = 30 * 86_400.0

    name: str
    url: str
    uri: str
    every: Duration = "30s"
    """Pause from the end of one poll to the start of the next."""
    items: str | None = None
    id: str | None = None
    headers: dict[str, str | Secret] = field(default_factory=dict)
    """Request headers, such as Authorization. They go to the URL's own origin only, not where it redirects."""
    timeout: Duration = "10s"
    """For a whole poll: connecting, redirects, and the document to its last byte."""
    max_body: int = 4 * 1024 * 1024
    """Largest document, in bytes, unpacked; a larger one is not read to its end."""
    mime_type: str = "application/json"
    jitter: float = 0.1
    """Each pause is longer or shorter by a random part of itself up to this one (0 to 1)."""
    linger: Duration = "30s"
    """How long it is polled on after the last client that wanted it has gone."""
    always: bool = False
    """Poll from the start of the server to its end, whether anybody wants it or not."""

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("`name` is empty")
        _check_url(self.url)
        if self.items is None:
            self._check_single()
        else:
            self._check_items()
        check_headers(self.headers, _OURS, "the poller")
        seconds_between("every", self.every, self.LEAST_EVERY, self.MOST_EVERY)
        seconds_between("timeout", self.timeout, 0.001, self.MOST_TIMEOUT)
        seconds_between("linger", self.linger, 0.0, self.MOST_LINGER)
        if not 1 <= self.max_body <= self.MOST_BODY:
            raise ValueError(
                f"`max_body` is {self.max_body}, but must be between 1 and {self.MOST_BODY} bytes"
            )
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"`jitter` is {self.jitter}, but must be between 0 and 1")

    def _check_single(self) -> None:
        if self.id is not None:
            raise ValueError(
                "`id` says where the id is inside an item: it needs `items`, which says where those are"
            )
        if has_variables(self.uri):
            raise ValueError("`uri` has variables, so it needs `items`; a whole document has one fixed URI")
        _check_uri(self.uri)

    def _check_items(self) -> None:
        if self.id is None:
            raise ValueError("`items` needs `id`: where the id is inside an item, such as '/id'")
        if not has_variables(self.uri):
            raise ValueError(
                "`uri` needs the variable {id}, such as releases://{id}, because there are `items`"
            )
        try:
            template = UriTemplate(self.uri)
        except ValueError as error:
            raise ValueError(f"`uri`: {error}") from None
        if template.variables != (VARIABLE,):
            raise ValueError(f"`uri` must have one variable, {{id}}, not {', '.join(template.variables)}")
        _check_uri(template.expand({VARIABLE: "1"}))
        for name, text in (("items", self.items), ("id", self.id)):
            try:
                Pointer(text or "")
            except ValueError as error:
                raise ValueError(f"`{name}`: {error}") from None

    def shape(self) -> Shape:
        """What the document is expected to look like."""
        if self.items is None:
            return Shape(self.uri, None, None)
        return Shape(self.uri, Pointer(self.items), Pointer(self.id or ""))

    def revealed_headers(self) -> dict[str, str]:
        """The request headers with their secrets, names in lower case.

        Raises:
            SecretMissing: a secret is not where the settings say, or is no header's value.
        """
        return {"accept": "application/json, */*;q=0.1", **revealed_headers(self.headers, self.name)}

    def _shown(self) -> list[tuple[str, object]]:
        shown: list[tuple[str, object]] = []
        for name in self.__struct_fields__:
            value: object = getattr(self, name)
            if name == "headers":
                value = shown_headers(self.headers)
            elif name == "url":
                value = shown_url(self.url)
            shown.append((name, value))
        return shown

    def __repr__(self) -> str:
        return f"PollerSettings({', '.join(f'{name}={value!r}' for name, value in self._shown())})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return self._shown()


def _check_uri(uri: str) -> None:
    try:
        check_uri(uri)
    except ValueError as error:
        raise ValueError(f"`uri`: {error}") from None


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or any(not "!" <= character <= "~" for character in url):
        raise ValueError("`url` must be an http or https URL, such as https://example.org/releases.json")
