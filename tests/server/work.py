"""An app whose tools show what happens to them, and calls of them."""

from __future__ import annotations

import pytest
import trio

from mcptrio import App, Context, ServerSettings
from tests.server.rig import House, Wire, request

BOTH = pytest.mark.parametrize("modern", [False, True], ids=["2025-11-25", "2026-07-28"])


class Work:
    """An app whose tools show what happens to them."""

    def __init__(self, settings: ServerSettings | None = None) -> None:
        self.app = App("work", settings=settings)
        self.started = 0
        self.ended: list[str] = []
        self.gate = trio.Event()
        app = self.app

        @app.tool
        async def wait() -> str:
            self.started += 1
            try:
                await self.gate.wait()
            except trio.Cancelled:
                self.ended.append("cancelled")
                raise
            self.ended.append("done")
            return "done"

        @app.tool
        async def count(to: int, context: Context) -> str:
            for number in range(1, to + 1):
                await context.progress(number, total=to, message=f"step {number}")
            return "counted"


def call(
    id: object,
    name: str,
    arguments: dict[str, object] | None = None,
    *,
    modern: bool = False,
    token: object = None,
) -> dict[str, object]:
    params: dict[str, object] = {"name": name, "arguments": arguments or {}}
    if token is not None:
        params["_meta"] = {"progressToken": token}
    return request(id, "tools/call", params, modern=modern)


def text_of(answer: dict[str, object]) -> str:
    result = answer["result"]
    assert isinstance(result, dict)
    return str(result["content"][0]["text"])


def reason_of(answer: dict[str, object]) -> object:
    error = answer["error"]
    assert isinstance(error, dict)
    assert error["code"] == -32603
    return error["data"]["reason"]


async def connect(home: House, modern: bool) -> Wire:
    return await home.connect(initialized=not modern)
