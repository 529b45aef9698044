"""What a client and a real server do together, whatever carries it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import pytest
import trio

from mcptrio.client import Client, RpcError, Update

ONE, TWO = "note://one", "note://two"


async def hold_to_contract(opened: AbstractAsyncContextManager[Client], revision: str) -> None:
    """Use everything that a client offers, on one connection."""
    async with opened as client:
        assert client.revision == revision
        assert client.server_info is not None and client.server_info.name == "notes"
        await _calls(client)
        await _subscriptions(client)
        await _cancellation(client)
        assert client.statistics() == type(client.statistics())(True, 1, 0, 0)


async def _calls(client: Client) -> None:
    assert {tool.name for tool in await client.list_tools()} == {"write", "count", "hang", "hung"}
    assert "note://{name}" in {each.uri_template for each in await client.list_resource_templates()}
    told: list[float] = []
    await client.call_tool(
        "count", {"to": 3}, on_progress=lambda progress, total, text: told.append(progress)
    )
    assert told == [1, 2, 3]
    assert (await client.read_resource(TWO)).contents[0].text == "sun"
    with pytest.raises(RpcError, match="note://none"):
        await client.read_resource("note://none")
    results: list[object] = []

    async def count(to: int) -> None:
        result = await client.call_tool("count", {"to": to})
        results.append((to, result.content[0].text))  # type: ignore[union-attr]

    async with trio.open_nursery() as nursery:
        for to in range(20):
            nursery.start_soon(count, to)
    assert sorted(results) == [(to, str(to)) for to in range(20)]  # type: ignore[type-var]


async def _subscriptions(client: Client) -> None:
    async with client.subscribe(ONE) as one, client.subscribe(ONE, TWO) as both:
        for text in ("snow", "hail", "fog"):
            await client.call_tool("write", {"name": "one", "text": text})
            assert await anext(one) == Update(ONE)
            assert await anext(both) == Update(ONE)
            assert (await client.read_resource(ONE)).contents[0].text == text
        await client.call_tool("write", {"name": "two", "text": "mud"})
        assert await anext(both) == Update(TWO)
        assert one.pending == 0
        await both.__aexit__(None, None, None)
        await client.call_tool("write", {"name": "two", "text": "dew"})
        await client.call_tool("write", {"name": "one", "text": "dew"})
        assert await anext(one) == Update(ONE)
        assert both.pending == 0
    with pytest.raises(RpcError):
        async with client.subscribe("nothing://at/all"):
            raise AssertionError
    async with client.subscribe(ONE, "nothing://at/all", missing_ok=True) as some:
        assert some.missing == ("nothing://at/all",)


async def _cancellation(client: Client) -> None:
    with trio.move_on_after(0.3):
        await client.call_tool("hang", {"name": "mine"})
    with trio.fail_after(20):
        while not (await client.call_tool("hung")).content:  # noqa: ASYNC110 - it is told by asking only
            await trio.sleep(0.01)
