"""Slips of declaring, and what becomes of them."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable

import pytest
import trio
from trio.testing import MockClock

from mcptrio import App, DeclarationError, Feed
from mcptrio.app.address import CannotListen


async def test_a_source_may_be_declared_without_parentheses(autojump_clock: MockClock) -> None:
    app = App("house")

    @app.resource("a:b")
    async def read() -> str:
        return "b"

    @app.source
    async def watcher(feed: Feed) -> None:
        await trio.sleep(1)
        await feed.updated("a:b")

    async with app.connect() as client, client.subscribe("a:b") as changes:
        assert (await anext(changes)).uri == "a:b"


def test_a_resource_without_its_uri_is_refused_with_the_way_to_write_it() -> None:
    async def read() -> str:
        return "b"

    with pytest.raises(
        DeclarationError, match=r"read: a resource needs its URI: @app.resource\('scheme://...'\)"
    ):
        App("house").resource(read)  # type: ignore[arg-type]


def plain(feed: Feed) -> None: ...


async def alone() -> None: ...


async def generator(feed: Feed) -> AsyncIterator[int]:
    yield 1


async def greedy(feed: Feed, more: str) -> None: ...


@pytest.mark.parametrize("fn", [plain, alone, generator, greedy])
def test_what_could_only_crash_as_a_source_is_refused(fn: Callable[..., object]) -> None:
    with pytest.raises(DeclarationError, match=f"{fn.__name__}: a source is `async def name"):
        App("house").source("a:{b}")(fn)  # type: ignore[type-var]


def test_a_template_gives_uris_that_can_be_announced() -> None:
    app = App("house")

    @app.resource("weather://{city}/{day}")
    async def report(city: str, day: int) -> str:
        return ""

    assert report.uri_for(city="new york", day=3) == "weather://new%20york/3"
    assert report.uri_for(city="é/x", day=3) == "weather://%C3%A9%2Fx/3"
    with pytest.raises(TypeError, match="takes city, day"):
        report.uri_for(city="oslo")
    app.updated_nowait(report.uri_for(city="new york", day=3))


async def test_a_source_that_returns_is_idle(autojump_clock: MockClock) -> None:
    app = App("house")

    @app.source()
    async def short(feed: Feed) -> None:
        feed.live()

    async with app.connect():
        await trio.testing.wait_all_tasks_blocked()
        feed = app.sources.feeds["short"]
        assert (feed.state, feed.reason) == ("idle", "its function has returned")


async def test_failed_tool_calls_are_counted(autojump_clock: MockClock) -> None:
    app = App("house")

    @app.tool
    async def bad() -> str:
        raise ValueError("no")

    async with app.connect() as client:
        assert (await client.call_tool("bad")).is_error
        assert app.server.dispatch.tool_errors == 1
        assert app.server.metrics.get_sample_value("mcptrio_tool_errors_total") == 1


def test_the_end_of_an_app_takes_the_drain_and_its_lifespans() -> None:
    app = App("house")
    assert app.stop_timeout == 1.5

    @app.lifespan
    async def pool(app: App) -> AsyncIterator[FakePool]:
        yield FakePool()

    assert app.stop_timeout == 6.5


class FakePool: ...


async def test_only_the_address_is_said_not_to_be_listened_on() -> None:
    app = App("house")

    @app.lifespan
    async def pool(app: App) -> AsyncIterator[FakePool]:
        raise PermissionError(13, "no such luck")
        yield FakePool()

    with pytest.raises(PermissionError) as caught:
        await app.serve(port=0)
    assert not isinstance(caught.value, CannotListen)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(CannotListen, match="in use"):
            await App("house").serve(port=taken.getsockname()[1])
