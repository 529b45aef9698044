"""A poller in an app: it asks while somebody wants to know, and reads wait for its first answer."""

from __future__ import annotations

from random import Random

import pytest
import trio
import trio.testing

from mcptrio import App
from mcptrio.protocol import RpcError
from mcptrio.sources.poller import Poller, PollerSettings
from tests.sources.poller.origin import URL, Origin, releases, respond

MockClock = trio.testing.MockClock


def polling_app(origin: Origin, **settings: object) -> App:
    app = App("house")
    written = {
        "url": URL,
        "uri": "releases://{id}",
        "items": "/releases",
        "id": "/id",
        "every": 10,
        "jitter": 0,
    }
    made = PollerSettings(name="releases", **(written | settings))  # type: ignore[arg-type]
    Poller(made, open_client=origin.open_client, random=Random(1)).install(app.registry)
    return app


async def test_nothing_is_asked_with_nobody_there(autojump_clock: MockClock) -> None:
    origin = Origin(releases({"id": 1}))
    async with polling_app(origin).connect() as client:
        await client.list_tools()
        await trio.sleep(1000)
        assert origin.requests == []
        async with client.subscribe("releases://1"):
            await trio.sleep(95)
            assert len(origin.requests) == 10
        await trio.sleep(29)
        asked = len(origin.requests)
        assert asked == 13, "it lingers"
        await trio.sleep(1000)
        assert len(origin.requests) <= asked + 1


async def test_a_poller_that_always_runs_asks_from_the_start(autojump_clock: MockClock) -> None:
    origin = Origin(releases({"id": 1}))
    async with polling_app(origin, always=True).connect():
        await trio.sleep(95)
        assert len(origin.requests) == 10


@pytest.mark.parametrize("always", [False, True])
async def test_a_read_and_a_list_wait_for_the_first_answer(autojump_clock: MockClock, always: bool) -> None:
    origin = Origin()
    origin.always(lambda: respond(200, releases({"id": 1}), gap=3))
    async with polling_app(origin, always=always).connect() as client:
        started = trio.current_time()
        assert [resource.uri for resource in await client.list_resources()][:1] == ["releases://1"]
        assert trio.current_time() - started == pytest.approx(3)
        assert (await client.read_resource("releases://1")).contents[0].text == '{"id":1}'
        assert trio.current_time() - started == pytest.approx(3)
        with pytest.raises(RpcError):
            await client.read_resource("releases://2")


async def test_a_read_does_not_wait_longer_than_the_first_answer_however_bad(
    autojump_clock: MockClock,
) -> None:
    async with polling_app(Origin(b"no")).connect() as client:
        started = trio.current_time()
        with pytest.raises(RpcError):
            await client.read_resource("releases://1")
        assert trio.current_time() == started


async def test_who_asked_in_vain_is_told_of_what_came_later(autojump_clock: MockClock) -> None:
    origin = Origin()
    origin.always(lambda: respond(200, releases({"id": 1}), gap=8))
    async with polling_app(origin).connect() as client, client.subscribe("releases://1") as changes:
        started = trio.current_time()
        with pytest.raises(RpcError):
            await client.read_resource("releases://1")
        assert trio.current_time() - started == pytest.approx(5)
        assert (await anext(changes)).uri == "releases://1"
        assert trio.current_time() - started == pytest.approx(8)


async def test_a_read_says_how_old_its_answer_is_when_the_origin_fails_and_only_then(
    autojump_clock: MockClock,
) -> None:
    origin = Origin(releases({"id": 1}, {"no id": 1}))
    app = polling_app(origin)
    async with app.connect() as client, client.subscribe("releases://1"):
        read = await client.read_resource("releases://1")
        assert app.sources.feeds["releases"].state == "degraded", "for its bad item"
        assert not read.contents[0].annotations, "but all the others are as they are now"
        origin.always(lambda: respond(500))
        await trio.sleep(60)
        read = await client.read_resource("releases://1")
        at = app.sources.feeds["releases"].as_of
        assert at is not None
        assert read.contents[0].text == '{"id":1}'
        assert read.contents[0].annotations
        assert read.contents[0].annotations.last_modified == at.isoformat()


async def test_a_read_after_a_while_is_of_now(autojump_clock: MockClock) -> None:
    origin = Origin(releases({"id": 1, "v": 1}))
    async with polling_app(origin).connect() as client:
        await client.read_resource("releases://1")
        await trio.sleep(1000)
        origin.body = releases({"id": 1, "v": 2})
        read = await client.read_resource("releases://1")
        assert (read.contents[0].text, bool(read.contents[0].annotations)) == ('{"id":1,"v":2}', False)
