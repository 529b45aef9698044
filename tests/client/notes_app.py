"""A real server that the client's contract is tested against, in this process and as a child process."""

from __future__ import annotations

import trio

from mcptrio import App, ResourceNotFound
from mcptrio.catalog import Context


def notes_app() -> App:
    """Notes that change when told to."""
    app = App("notes", version="1", instructions="Read the notes.")
    texts = {"one": "rain", "two": "sun"}
    cancelled: list[str] = []

    @app.resource("note://{name}")
    async def note(name: str) -> str:
        """A note."""
        await trio.lowlevel.checkpoint()
        if name not in texts:
            raise ResourceNotFound(f"note://{name}")
        return texts[name]

    @app.tool
    async def write(name: str, text: str) -> str:
        """Change a note."""
        await trio.lowlevel.checkpoint()
        texts[name] = text
        app.updated_nowait(f"note://{name}")
        return text

    @app.tool
    async def count(to: int, *, context: Context) -> int:
        """Count aloud."""
        for number in range(1, to + 1):
            await context.progress(number, total=to)
        return to

    @app.tool
    async def hang(name: str) -> str:
        """Never answer."""
        try:
            await trio.sleep_forever()
        finally:
            cancelled.append(name)
        raise AssertionError

    @app.tool
    async def hung() -> list[str]:
        """Which calls were cancelled."""
        await trio.lowlevel.checkpoint()
        return cancelled

    return app


app = notes_app()
