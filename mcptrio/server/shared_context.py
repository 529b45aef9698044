"""The context of a read that is for more than the request that began it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import trio

from mcptrio.catalog import Context
from mcptrio.catalog.questions import Question
from mcptrio.protocol.questions import Level

T = TypeVar("T")


class SharedContext(Context):
    """Knows whose reads it serves, and nothing of any single one of them: nobody's request can change what others get.

    Nor can a client hold up the others. Progress and log messages go nowhere, and questions cannot be asked.
    """

    __slots__ = ("_principal",)

    def __init__(self, principal: str | None) -> None:
        """`principal` is None where it is for everybody."""
        self._principal = principal

    @property
    def principal(self) -> str | None:
        """Who may be given what is read; None for everybody, and for all who are nobody in particular."""
        return self._principal

    @property
    def request_meta(self) -> Mapping[str, object]:
        """Empty."""
        return {}

    @property
    def client_capabilities(self) -> Mapping[str, object]:
        """Empty."""
        return {}

    def require(self, *capabilities: str) -> None:
        """Refused as a question."""
        raise _refusal()

    async def progress(
        self, progress: float, *, total: float | None = None, message: str | None = None
    ) -> None:
        """A checkpoint."""
        await trio.lowlevel.checkpoint()

    async def log(self, level: Level, data: object, *, logger: str | None = None) -> None:
        """A checkpoint."""
        await trio.lowlevel.checkpoint()

    async def close_stream(self, *, retry: float = 1.0) -> None:
        """A checkpoint."""
        await trio.lowlevel.checkpoint()

    async def ask(self, question: Question[T], *, key: str | None = None) -> T:
        """Refused."""
        await trio.lowlevel.checkpoint()
        raise _refusal()

    async def ask_all(self, asked: Mapping[str, Question[object]]) -> dict[str, object]:
        """Refused."""
        await trio.lowlevel.checkpoint()
        raise _refusal()


def _refusal() -> RuntimeError:
    return RuntimeError(
        "a resource with cache=... is read for many requests at once and cannot ask one client: remove cache=, or the "
        "question"
    )
