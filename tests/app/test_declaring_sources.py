"""Declaring when a source runs, and with what."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from mcptrio import App, DeclarationError, Feed


async def whole(feed: Feed) -> None: ...


async def city(feed: Feed, city: str) -> None: ...


def test_what_a_decorator_says_is_what_is_registered() -> None:
    app = App("house", settings=None)
    before = len(app.registry.sources())
    app.source(whole)
    app.source("a:{id}", name="demand", linger=5)(whole)
    app.source(["b:{id}", "c:fixed"], name="both", always=True)(whole)
    app.source("w:{city}", name="each", each=True, linger=0)(city)
    declared = [
        (spec.name, spec.patterns, spec.always, spec.each, spec.linger)
        for spec in app.registry.sources()[before:]
    ]
    assert declared == [
        ("whole", (), True, False, 30),
        ("demand", ("a:{id}",), False, False, 5),
        ("both", ("b:{id}", "c:fixed"), True, False, 30),
        ("each", ("w:{city}",), False, True, 0),
    ]
    assert app.catalog.could_serve("c:fixed")


def wrong(app: App) -> list[tuple[Callable[[], object], str]]:
    def plain(feed: Feed) -> None: ...

    async def nothing() -> None: ...

    return [
        (lambda: app.source(plain), r"plain: a source is `async def name\(feed: Feed\) -> None`"),  # type: ignore[type-var]
        (lambda: app.source()(nothing), r"nothing: a source is `async def name\(feed: Feed\)"),
        (
            lambda: app.source("w:{city}")(city),
            r"city: a source is .*; with each=True it takes the variables",
        ),
        (lambda: app.source("w:{city}", each=True)(nothing), r"`async def name\(feed: Feed, city: str\)"),
        (lambda: app.source("w:{city}", each=True)(whole), "whole: the variable `city`"),
        (lambda: app.source(each=True)(city), "city: each=True .* give the pattern of those URIs"),
        (lambda: app.source("w:oslo", each=True)(city), "city: 'w:oslo' has no variables"),
        (lambda: app.source("w:{town}", each=True)(city), "city: the variable `town` .* add `town: str`"),
        (lambda: app.source("w:{city}", each=True, always=True)(city), "city: .* leave out always=True"),
        (lambda: app.source(always=False)(whole), "whole: without a pattern nothing would ever start it"),
        (lambda: app.source("w:{city}", linger=-1)(whole), "whole: linger is -1"),
        (lambda: app.source("w:{city}", linger=float("inf"))(whole), "whole: linger is inf"),
        (lambda: app.source(["w:{city}", "w"])(whole), "URI template 'w'"),
    ]


@pytest.mark.parametrize("number", range(13))
def test_what_could_not_work_is_refused_and_leaves_nothing(number: int) -> None:
    app = App("house")
    before = app.registry.sources()
    declare, said = wrong(app)[number]
    with pytest.raises(DeclarationError, match=said):
        declare()
    assert app.registry.sources() == before
    assert not app.catalog.could_serve("w:oslo")


async def test_a_source_that_is_declared_while_the_app_runs_runs_when_it_is_wanted(
    autojump_clock: MockClock,
) -> None:
    app = App("house")
    begun: list[str] = []
    async with app.connect() as client:

        @app.source("a:{id}")
        async def demand(feed: Feed) -> None:
            begun.append("demand")
            await feed.updated("a:1")
            await trio.sleep_forever()

        @app.source
        async def inlet(feed: Feed) -> None:
            begun.append("inlet")
            await trio.sleep_forever()

        await trio.testing.wait_all_tasks_blocked()
        assert begun == ["inlet"]
        async with client.subscribe("a:1") as changes:
            assert (await anext(changes)).uri == "a:1"
        assert begun == ["inlet", "demand"]


async def test_what_was_wanted_before_the_app_ran_is_started_with_it(autojump_clock: MockClock) -> None:
    app = App("house")

    @app.source("a:{id}")
    async def demand(feed: Feed) -> None:
        for uri in feed.wanted:
            await feed.updated(uri)
        await trio.sleep_forever()

    with app.changes("a:7") as changes:
        for _ in range(2):
            async with app.connect():
                assert (await changes.receive()).change.uri == "a:7"
