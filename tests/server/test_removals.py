"""Resources that are taken away and declared again while somebody is subscribed to them."""

from __future__ import annotations

import pytest

from mcptrio import App
from tests.server.rig import House, Json, Wire, list_changed, running, updated
from tests.server.work import BOTH

WHAT = pytest.mark.parametrize(("declared", "uri"), [("a:fixed", "a:fixed"), ("b:{id}", "b:1")])


def offer(app: App, uri: str) -> None:
    async def fixed() -> str:
        return ""

    async def one(id: str) -> str:
        return id

    app.resource(uri)(one if "{" in uri else fixed)


def house() -> App:
    app = App("house")
    for uri in ("a:fixed", "b:{id}", "c:fixed", "d:{id}"):
        offer(app, uri)
    return app


async def follower(home: House, modern: bool, *uris: str) -> Wire:
    """Somebody who is subscribed to the URIs and told that the list changed."""
    wire = await home.connect(initialized=not modern)
    if modern:
        await wire.listen("l", *uris, resourcesListChanged=True)
    else:
        await wire.subscribe(*uris)
    return wire


def told(*uris: str, modern: bool) -> list[Json]:
    tag = "l" if modern else None
    return [*(updated(uri, tag) for uri in uris), list_changed("resources", tag)]


def in_order(messages: list[Json]) -> list[Json]:
    return sorted(messages, key=str)


@BOTH
@WHAT
async def test_who_is_subscribed_is_told_once_of_a_removal_and_once_of_the_return(
    modern: bool, declared: str, uri: str
) -> None:
    app = house()
    async with running(app) as home:
        await home.connect(initialized=True)
        wire = await follower(home, modern, uri)
        other = await follower(home, modern, "c:fixed", "d:1")
        for _ in range(2):
            app.remove_resource(declared)
            assert in_order(await wire.rest(10)) == in_order(told(uri, modern=modern))
            assert await other.rest(10) == told(modern=modern)
            offer(app, declared)
            assert in_order(await wire.rest(10)) == in_order(told(uri, modern=modern))
            assert await other.rest(10) == told(modern=modern)
        app.updated_nowait(uri)
        assert await wire.rest(10) == told(uri, modern=modern)[:1]


@BOTH
async def test_the_removal_of_a_template_concerns_all_that_it_served_and_nothing_else(modern: bool) -> None:
    app = house()
    async with running(app) as home:
        wire = await follower(home, modern, "b:1", "b:2", "d:1")
        app.remove_resource("b:{id}")
        assert in_order(await wire.rest(10)) == in_order(told("b:1", "b:2", modern=modern))


@BOTH
async def test_what_is_still_offered_by_another_declaration_did_not_change(modern: bool) -> None:
    app = house()
    offer(app, "b:1")
    async with running(app) as home:
        wire = await follower(home, modern, "b:1")
        app.remove_resource("b:1")
        assert await wire.rest(10) == told(modern=modern)
        offer(app, "b:1")
        assert await wire.rest(10) == told(modern=modern)


async def test_a_resource_that_was_awaited_is_told_when_it_is_declared() -> None:
    app = App("house")
    app.catalog.add_pattern("b:{id}")
    async with running(app) as home:
        wire = await home.connect(initialized=True)
        await wire.subscribe("b:1")
        offer(app, "b:{id}")
        assert in_order(await wire.rest(10)) == in_order(told("b:1", modern=False))


async def test_a_removal_that_fails_tells_nobody() -> None:
    app = house()
    async with running(app) as home:
        wire = await home.connect(initialized=True)
        await wire.subscribe("a:fixed")
        with pytest.raises(ValueError, match="none:such"):
            app.remove_resource("none:such")
        with pytest.raises(ValueError, match="a:fixed"):
            offer(app, "a:fixed")
        assert await wire.rest(10) == []
