"""What changes while the server runs: a resource five times a second, and what is offered when a tool is called."""

from __future__ import annotations

import trio

from conformance_server.application import app
from mcptrio import Feed

TICKER = "live://ticker"
PERIOD = 0.2
"""Seconds between two changes of the ticker."""


class Ticks:
    """How often the ticker has changed."""

    count = 0


@app.resource(TICKER)
async def ticker() -> int:
    """A number that grows five times a second."""
    return Ticks.count


@app.source(TICKER, always=True)
async def tick(feed: Feed) -> None:
    """Runs from the start, whoever is subscribed to the ticker."""
    feed.live()
    while True:
        await trio.sleep(PERIOD)
        Ticks.count += 1
        await feed.updated(TICKER)


@app.resource("live://quiet")
async def quiet() -> str:
    """A text that never changes."""
    return "nothing happens here"


async def test_dynamic() -> str:
    """Be there now and then: a tool of this name, and a prompt."""
    return "here"


@app.tool
async def test_trigger_tool_change() -> str:
    """Offer one tool more, or take it back."""
    try:
        app.remove_tool(test_dynamic.__name__)
    except ValueError:
        app.tool(test_dynamic)
    return "The list of tools has changed"


@app.tool
async def test_trigger_prompt_change() -> str:
    """Offer one prompt more, or take it back."""
    try:
        app.remove_prompt(test_dynamic.__name__)
    except ValueError:
        app.prompt(test_dynamic)
    return "The list of prompts has changed"
