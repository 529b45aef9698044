"""A `Context` that keeps what a handler told it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import trio

from mcptrio.catalog import Context
from mcptrio.catalog.questions import Question

T = TypeVar("T")


class FakeContext(Context):
    """The request of an anonymous or named peer, without a wire."""

    def __init__(
        self, principal: str | None = None, request_meta: Mapping[str, object] | None = None
    ) -> None:
        self._principal = principal
        self._request_meta = request_meta or {}
        self.reports: list[tuple[float, float | None, str | None]] = []

    @property
    def principal(self) -> str | None:
        return self._principal

    @property
    def request_meta(self) -> Mapping[str, object]:
        return self._request_meta

    async def progress(
        self, progress: float, *, total: float | None = None, message: str | None = None
    ) -> None:
        await trio.lowlevel.checkpoint()
        self.reports.append((progress, total, message))

    @property
    def client_capabilities(self) -> Mapping[str, object]:
        return {}

    def require(self, *capabilities: str) -> None: ...

    async def log(self, level: str, data: object, *, logger: str | None = None) -> None:
        await trio.lowlevel.checkpoint()

    async def close_stream(self, *, retry: float = 1.0) -> None:
        await trio.lowlevel.checkpoint()

    async def ask(self, question: Question[T], *, key: str | None = None) -> T:
        raise AssertionError("nobody is there to answer")

    async def ask_all(self, asked: Mapping[str, Question[object]]) -> dict[str, object]:
        raise AssertionError("nobody is there to answer")


def a_context() -> Context:
    """A fresh context; typed as the protocol, so that the type checker compares the two."""
    return FakeContext()
