"""`completion/complete` on the wire, in both revisions."""

from __future__ import annotations

from typing import Literal

import pytest
import trio

from mcptrio import App
from mcptrio.protocol import Revision
from tests.server.rig import running
from tests.tap import expect_valid

BOTH = pytest.mark.parametrize("modern", [False, True], ids=["2025-11-25", "2026-07-28"])
PROMPT = {"type": "ref/prompt", "name": "plan"}


def house() -> App:
    app = App("house")

    @app.prompt
    async def plan(city: str, sky: Literal["clear", "cloudy", "rain"] = "clear") -> str:
        return city

    @plan.complete("city")
    async def cities(value: str, others: dict[str, str]) -> list[str]:
        if value == "slow":
            await trio.sleep_forever()
        return [value + "slo", *others.values()]

    @app.resource("report://{city}")
    async def report(city: str) -> str:
        return city

    report.complete("city", [f"city{number}" for number in range(150)])
    return app


@BOTH
async def test_prompts_and_templates_are_completed(modern: bool) -> None:
    async with running(house()) as home:
        wire = await home.connect(initialized=not modern)
        template = {"type": "ref/resource", "uri": "report://{city}"}
        cases = [
            (PROMPT, "sky", "cl", {}, {"values": ["clear", "cloudy"], "total": 2, "hasMore": False}),
            (
                PROMPT,
                "city",
                "o",
                {"sky": "rain"},
                {"values": ["oslo", "rain"], "total": 2, "hasMore": False},
            ),
            (template, "city", "city99", {}, {"values": ["city99"], "total": 1, "hasMore": False}),
            (
                template,
                "city",
                "",
                {},
                {"values": [f"city{number}" for number in range(100)], "total": 150, "hasMore": True},
            ),
        ]
        for ref, argument, value, given, expected in cases:
            params = {
                "ref": ref,
                "argument": {"name": argument, "value": value},
                "context": {"arguments": given},
            }
            result = await wire.result("completion/complete", params, modern=modern)
            expect_valid(result, Revision.MODERN if modern else Revision.LEGACY, "CompleteResult")
            assert result["completion"] == expected
            assert not result.keys() & {"ttlMs", "cacheScope"}


@BOTH
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"ref": PROMPT},
        {"ref": {"type": "ref/tool", "name": "plan"}, "argument": {"name": "city", "value": ""}},
        {"ref": {"type": "ref/prompt", "name": "none"}, "argument": {"name": "city", "value": ""}},
        {"ref": PROMPT, "argument": {"name": "town", "value": ""}},
        {"ref": PROMPT, "argument": {"name": "city", "value": 7}},
        {"ref": PROMPT, "argument": {"name": "city", "value": ""}, "context": {"arguments": {"sky": 1}}},
    ],
)
async def test_what_cannot_be_completed_is_refused(modern: bool, params: dict[str, object]) -> None:
    async with running(house()) as home:
        wire = await home.connect(initialized=not modern)
        assert (await wire.error("completion/complete", params, modern=modern))[0] == -32602


async def test_a_completion_under_way_can_be_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    async with running(house()) as home:
        wire = await home.connect(initialized=True)
        params = {"ref": PROMPT, "argument": {"name": "city", "value": "slow"}}
        await wire.send({"jsonrpc": "2.0", "id": 1, "method": "completion/complete", "params": params})
        await trio.testing.wait_all_tasks_blocked()
        await wire.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
        assert await wire.rest() == []
        assert wire.peer.requests == {}
