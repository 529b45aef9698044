"""The app that is talked to: rooms that change, a note that is cached, and tools that show what happens to them."""

from __future__ import annotations

import trio

from mcptrio import App, Context, ServerSettings
from tests.server.asked import Name
from tests.server.rig import Json

NOTE = "note:1"


def hold(tag: str, *, token: str | None = None) -> Json:
    """Params of a call that is held until the gate opens; with a token it reports before and after."""
    reports: Json = {} if token is None else {"_meta": {"progressToken": token}}
    return {"name": "hold", "arguments": {"tag": tag, "reports": token is not None}, **reports}


class Rooms:
    """An app, and what is seen of it from inside."""

    def __init__(self, settings: ServerSettings | None = None) -> None:
        self.app = app = App("rooms", settings=settings)
        self.entered: list[str] = []
        self.cancelled: list[str] = []
        self.gate = trio.Event()
        self.note = "first"
        self.runs = 0
        self.note_gate = trio.Event()
        self.note_gate.set()

        @app.resource("room://{+path}")
        async def room(path: str) -> str:
            return path

        @app.resource(NOTE, cache=60)
        async def note() -> str:
            self.runs += 1
            text = self.note
            await self.note_gate.wait()
            return text

        @app.tool
        async def echo(text: str) -> str:
            return text

        @app.tool
        async def hold(tag: str, context: Context, reports: bool = False) -> str:
            self.entered.append(tag)
            try:
                if reports:
                    await context.progress(1, total=2)
                await self.gate.wait()
                if reports:
                    await context.progress(2, total=2)
            except trio.Cancelled:
                self.cancelled.append(tag)
                raise
            return f"held {tag}"

        @app.tool
        async def greet(context: Context) -> str:
            return f"Hello {(await context.elicit('Who?', Name)).value.name}"

        @app.tool
        async def think(context: Context) -> str:
            return f"I think: {(await context.sample('What?')).text}"

        @app.tool
        async def spare() -> str:
            return "to be removed"

        @app.prompt(name="spare")
        async def spare_prompt() -> str:
            return "to be removed"

        @app.resource("spare:1")
        async def spare_resource() -> str:
            return "to be removed"

    def change_note(self, text: str) -> None:
        self.note = text
        self.app.updated_nowait(NOTE)
