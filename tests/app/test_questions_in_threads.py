"""A plain function runs in a thread, and asks from there. On the real clock."""

from __future__ import annotations

import trio

from mcptrio import App, Context
from tests.server.asked import Name, accept, talk
from tests.server.rig import running
from tests.server.work import BOTH


@BOTH
async def test_a_plain_function_asks_through_trio(modern: bool) -> None:
    app = App("asking")
    runs: list[str] = []

    @app.tool
    def ask(context: Context) -> str:
        runs.append("began")
        name = trio.from_thread.run(context.elicit, "Who?", Name).value.name
        runs.append(name)
        return name

    async with running(app) as home:
        client = await talk(home, modern)
        assert await client.text("ask", {"Who?": accept(name="Ann")}) == "Ann"
        assert runs == (["began", "began", "Ann"] if modern else ["began", "Ann"])
