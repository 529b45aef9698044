"""What a user writes about an SMTP inlet, and the checks that need no network."""

from __future__ import annotations

import ipaddress
import re
from typing import ClassVar

from msgspec import Struct, field

from mcptrio.catalog import UriTemplate, has_variables
from mcptrio.live import check_uri
from mcptrio.sources.duration import Duration, seconds_between

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,62}")
_HOST_NAME = re.compile(r"[A-Za-z0-9\[\]:.-]{1,255}")
_RECIPIENT = re.compile(r"[^@\s]{0,200}@[^@\s]{1,255}")

VARIABLE = "id"
"""The variable of the template of messages."""


class SmtpSettings(Struct, tag_field="kind", tag="smtp", forbid_unknown_fields=True, kw_only=True):
    """A `[[source]]` of `kind = "smtp"`: a port that takes mail, for nobody but the readers of its resources.

    Nothing is ever sent on, and there is nothing to log in to. Durations are strings such as `"30s"`, or seconds;
    sizes are bytes.

    Raises:
        ValueError: a setting that cannot work; the text names it.
    """

    MOST_SIZE: ClassVar[int] = 256 * 1024 * 1024
    MOST_ATTACHMENT: ClassVar[int] = 5 * 1024 * 1024
    MOST_SESSION: ClassVar[float] = 86_400.0
    MOST_AGE: ClassVar[float] = 3650 * 86_400.0

    name: str = "mail"
    host: str = "127.0.0.1"
    """The address to listen on, as numbers; `localhost` is 127.0.0.1."""
    port: int = 8025
    """0 takes any port that is free; a restart of the source takes the same one again."""
    exposed: bool = False
    """Must be true to listen where other machines can connect."""
    hostname: str = "localhost"
    """What the inlet calls itself to senders."""
    messages: str = ""
    """Template of the messages' URIs, with the variable `id`; empty: `{name}://messages/{id}`."""
    live_feed: str = ""
    """URI of the counts and the newest messages; empty: `{name}://live-feed`."""
    recipients: list[str] = field(default_factory=list)
    """Addresses, or `@domain`, that mail is taken for (550 for others); empty: for everybody."""
    max_size: int = 28 * 1024 * 1024
    """Largest mail, as it comes over the wire (552): room for 20 MB attached, which base64 makes a third longer."""
    max_sessions: int = 100
    """Connections at a time (421)."""
    max_recipients: int = 100
    """Recipients of one mail (452)."""
    timeout: Duration = "60s"
    """For each command of a sender, and for all of a mail's data."""
    session_timeout: Duration = "10m"
    """For a whole connection (421)."""
    queue: int = 64
    """How many mails may wait to be announced; senders of more wait."""
    patience: Duration = "30s"
    """How long a sender waits for its mail to be announced, before it is told to come again (451)."""
    keep: int = 1000
    """How many messages are kept; beyond, the oldest is evicted, which deletes its resource."""
    keep_bytes: int = 256 * 1024 * 1024
    """How many bytes of texts and attachments are kept."""
    keep_for: Duration = "7d"
    """How long a message is kept."""
    max_attachment: int = 4 * 1024 * 1024
    """Largest attachment whose content is kept; larger ones are listed only."""

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("`name` is empty")
        self._check_place()
        self._check_uris()
        for text in self.recipients:
            if _RECIPIENT.fullmatch(text) is None:
                raise ValueError(f"`recipients`: {text[:100]!r} is neither an address nor @domain")
        seconds_between("timeout", self.timeout, 0.1, 3600.0)
        seconds_between("session_timeout", self.session_timeout, 0.1, self.MOST_SESSION)
        seconds_between("patience", self.patience, 0.001, 600.0)
        seconds_between("keep_for", self.keep_for, 1.0, self.MOST_AGE)
        for name, value, least, most in (
            ("max_size", self.max_size, 1024, self.MOST_SIZE),
            ("max_sessions", self.max_sessions, 1, 10_000),
            ("max_recipients", self.max_recipients, 1, 10_000),
            ("queue", self.queue, 1, 10_000),
            ("keep", self.keep, 1, 100_000),
            ("max_attachment", self.max_attachment, 0, self.MOST_ATTACHMENT),
        ):
            if not least <= value <= most:
                raise ValueError(f"`{name}` is {value}, but must be between {least} and {most}")
        if self.keep_bytes < self.max_size:
            raise ValueError(
                f"`keep_bytes` is {self.keep_bytes}, but must be at least `max_size` ({self.max_size}), so that "
                "every mail that is taken can be kept"
            )

    def _check_place(self) -> None:
        try:
            address = self.address
        except ValueError:
            raise ValueError(
                f"`host` is {self.host[:100]!r}, but must be an IP address, such as 127.0.0.1 or ::1, or localhost"
            ) from None
        if not address.is_loopback and not self.exposed:
            raise ValueError(
                f"`host` is {self.host}, where other machines can connect and leave mail: if that is meant, "
                "set `exposed = true`"
            )
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"`port` is {self.port}, but must be between 0 (any that is free) and 65535")
        if _HOST_NAME.fullmatch(self.hostname) is None:
            raise ValueError(f"`hostname` is {self.hostname[:100]!r}, but must be a host's name")

    def _check_uris(self) -> None:
        if not (self.messages and self.live_feed) and _SCHEME.fullmatch(self.name) is None:
            raise ValueError(
                f"`name` is {self.name[:100]!r}, of which no URIs can be made: give it small letters and digits only, "
                "or give both `messages` and `live_feed`"
            )
        template = UriTemplate(self.messages_uri)
        if template.variables != (VARIABLE,) or self.messages_uri.count("{") != 1:
            raise ValueError(
                "`messages` needs the variable {id}, once and no other, such as mail://messages/{id}"
            )
        if "{id}" not in self.messages_uri:
            raise ValueError("`messages` must have its variable as {id}, such as mail://messages/{id}")
        check_uri(self.message_uri(1))
        if has_variables(self.live_feed_uri):
            raise ValueError("`live_feed` has variables, but is one URI, such as mail://live-feed")
        check_uri(self.live_feed_uri)
        if template.match(self.live_feed_uri) is not None:
            raise ValueError(
                "`live_feed` looks like the URI of a message: give it another form than `messages`"
            )

    @property
    def address(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
        """Where to listen."""
        return ipaddress.ip_address("127.0.0.1" if self.host == "localhost" else self.host)

    @property
    def messages_uri(self) -> str:
        """The template of the messages' URIs."""
        return self.messages or f"{self.name}://messages/{{id}}"

    @property
    def attachments_uri(self) -> str:
        """The template of the attachments' URIs."""
        return f"{self.messages_uri}/attachments/{{number}}"

    @property
    def live_feed_uri(self) -> str:
        """The URI of the live feed."""
        return self.live_feed or f"{self.name}://live-feed"

    def message_uri(self, id: int) -> str:
        """The URI of a message."""
        return self.messages_uri.replace("{id}", str(id))

    def attachment_uri(self, id: int, number: int) -> str:
        """The URI of an attachment."""
        return f"{self.message_uri(id)}/attachments/{number}"

    def uris(self) -> tuple[str, ...]:
        """All URIs and templates that the inlet offers."""
        return (self.live_feed_uri, self.messages_uri, self.attachments_uri)
