"""What a server asks of a client, and what a handler tells it: elicitation, sampling, roots, log messages.

In 2025-11-25 a question is a request of the server's; in 2026-07-28 it is part of a result that asks for input, and its
answer comes with the request's next try. Questions and answers themselves are the same. Specification: 2025-11-25
client/, 2026-07-28 basic/patterns/mrtr.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from msgspec import UNSET, UnsetType

from mcptrio.protocol.results import Result
from mcptrio.protocol.types import AudioContent, ImageContent, Object, TextContent, Wire

Level = Literal["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]
"""How much a log message matters, least first."""

LEVELS: tuple[str, ...] = get_args(Level)

ELICIT = "elicitation/create"
SAMPLE = "sampling/createMessage"
ROOTS = "roots/list"

SampledContent = TextContent | ImageContent | AudioContent


class SetLevelParams(Wire, kw_only=True):
    """`logging/setLevel` (2025-11-25)."""

    level: Level


class LogParams(Wire, kw_only=True):
    """`notifications/message`."""

    level: Level
    data: object
    logger: str | UnsetType = UNSET


class ElicitResult(Wire, kw_only=True):
    """What the user did with a form or a URL; `content` is an accepted form's."""

    action: Literal["accept", "decline", "cancel"]
    content: Object | UnsetType | None = UNSET


class Sampled(Wire, kw_only=True):
    """What the client's model said, and why it stopped (`endTurn`, `stopSequence`, `maxTokens`, or another word)."""

    role: Literal["user", "assistant"]
    content: SampledContent | list[SampledContent]
    model: str
    stop_reason: str | None = None

    @property
    def text(self) -> str:
        """All that is text in it."""
        blocks = self.content if isinstance(self.content, list) else [self.content]
        return "".join(block.text for block in blocks if isinstance(block, TextContent))


class Root(Wire, kw_only=True):
    """A place where the client works: a `file:` URI."""

    uri: str
    name: str | None = None


class RootsResult(Wire, kw_only=True):
    """All roots of the client."""

    roots: list[Root]


class InputRequest(Wire, kw_only=True):
    """One question in a result that asks for input."""

    method: str
    params: Object


class InputRequiredResult(Result, kw_only=True):
    """Instead of an answer: what the client is to find out before it tries again (2026-07-28).

    The next try carries `request_state` unchanged.
    """

    input_requests: dict[str, InputRequest]
    request_state: str


def missing_capabilities(declared: Mapping[str, object], needed: Iterable[str]) -> Object:
    """What a client has not declared of what is needed, as a capability object; empty when nothing is missing.

    What is needed is named with dots: `sampling`, `elicitation.url`. An elicitation without any mode is one with forms.
    """
    missing: Object = {}
    for name in needed:
        if not _has(declared, name):
            at = missing
            for part in name.split("."):
                inner = at.setdefault(part, {})
                assert isinstance(inner, dict)
                at = inner
    return missing


def _has(declared: Mapping[str, object], name: str) -> bool:
    at: object = declared
    for part in name.split("."):
        at = at.get(part) if isinstance(at, Mapping) else None
    if name == "elicitation.form" and at is None:
        elicitation = declared.get("elicitation")
        return isinstance(elicitation, Mapping) and elicitation.get("url") is None
    return isinstance(at, Mapping)
