"""The flags of `mcptrio watch` that ask for the extension `io.mcptrio/live`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from cyclopts import Parameter

from mcptrio.cli.exits import UserError

_POLICIES = "conflate, every, or batch:WINDOW,WAIT in milliseconds, such as batch:200,1000"
_FILTER = """'{"kind": "created"}'"""
_FIELDS = "none, metadata, all, or JSON pointers such as /subject,/from"

Repeated = Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)]


class Wanted(NamedTuple):
    """One of the things to watch: how people call it, and what `Client.watch` takes for it."""

    text: str
    arguments: Mapping[str, object]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class WatchFlags:
    """What is watched beyond exact URIs, and what is told of it; any of these needs the extension io.mcptrio/live."""

    glob: Repeated = ()
    """URIs like this, such as 'email://inbox/*'; ** stands for any characters. May be repeated."""
    template: Repeated = ()
    """URIs that fit this template, such as 'email://{box}/{id}'. May be repeated."""
    filter: str | None = None
    """JSON: only changes that it lets through, such as '{"kind": "created"}'."""
    policy: str | None = None
    """Of what waits: conflate (the newest per URI), every, or batch:200,1000 (ms). [default: conflate]"""
    fields: str | None = None
    """Of what changed: none, metadata, all, or pointers such as /subject,/from. [default: none]"""
    since: str | None = None
    """Begin with what was missed since this cursor, which an earlier line had; of several patterns, the oldest."""

    @property
    def given(self) -> bool:
        """Whether there are any."""
        return self != WatchFlags()

    @property
    def every(self) -> bool:
        """Whether no change may take the place of another."""
        return self.policy == "every"

    def wanted(self, uris: Sequence[str]) -> list[Wanted]:
        """Everything to watch.

        Raises:
            UserError: a flag makes no sense; the message says what would.
        """
        shared: dict[str, object] = {}
        if self.filter is not None:
            shared["filter"] = _filter(self.filter)
        if self.policy is not None:
            shared["policy"] = _policy(self.policy)
        if self.fields is not None:
            shared["fields"] = _fields(self.fields)
        if self.since is not None:
            shared["since"] = self.since
        named = (("uri", uris), ("template", self.template), ("glob", self.glob))
        return [
            Wanted(text, {kind: text, **shared}) for kind, texts in named for text in dict.fromkeys(texts)
        ]


def _filter(text: str) -> object:
    import msgspec

    try:
        value: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UserError(f"--filter must be a JSON object, such as {_FILTER}, in quotes: {error}") from None
    if not isinstance(value, dict):
        raise UserError(f"--filter must be a JSON object, such as {_FILTER}")
    return value


def _policy(text: str) -> object:
    from mcptrio.client import batch

    if text in ("conflate", "every"):
        return text
    kind, _, times = text.partition(":")
    window, comma, wait = times.partition(",")
    if kind != "batch" or not comma or not (window.isdecimal() and wait.isdecimal()):
        raise UserError(f"--policy must be {_POLICIES}, not {text[:80]!r}")
    try:
        return batch(int(window) / 1000, int(wait) / 1000)
    except ValueError:
        raise UserError(
            f"--policy batch:WINDOW,WAIT: WINDOW must be from 1 to 60000 milliseconds, and WAIT from WINDOW to 600000,"
            f" not {text[:80]!r}"
        ) from None


def _fields(text: str) -> object:
    if text in ("none", "metadata", "all"):
        return text
    pointers = text.split(",")
    if not all(pointer.startswith("/") for pointer in pointers):
        raise UserError(f"--fields must be {_FIELDS}, not {text[:80]!r}")
    return pointers
