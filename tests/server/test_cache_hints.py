"""Cache hints on reads and lists: what is declared is told to 2026-07-28, and nothing to 2025-11-25."""

from __future__ import annotations

import pytest

from mcptrio import App
from tests.server.rig import running


def house() -> App:
    app = App("house")

    @app.resource("a:plain")
    async def plain() -> str:
        return ""

    @app.resource("a:kept", ttl=1.5, public=True)
    async def kept() -> str:
        return ""

    @app.resource("a:each/{id}", ttl=60)
    async def each(id: str) -> str:
        return id

    return app


@pytest.mark.parametrize(
    ("uri", "hints"),
    [("a:plain", (0, "private")), ("a:kept", (1500, "public")), ("a:each/1", (60_000, "private"))],
)
async def test_a_read_tells_how_long_it_may_be_kept(uri: str, hints: tuple[int, str]) -> None:
    async with running(house()) as home:
        wire = await home.connect(initialized=True)
        modern = await wire.result("resources/read", {"uri": uri}, modern=True)
        assert (modern["ttlMs"], modern["cacheScope"]) == hints
        assert (await wire.result("resources/read", {"uri": uri})).keys() == {"contents"}


@pytest.mark.parametrize(
    "method",
    ["tools/list", "prompts/list", "resources/list", "resources/templates/list", "server/discover"],
)
async def test_a_list_may_not_be_kept(method: str) -> None:
    async with running(house()) as home:
        result = await (await home.connect()).result(method, modern=True)
        assert (result["ttlMs"], result["cacheScope"]) == (0, "private")
