"""`list_changed`: first at once, then at most one a second, the last always; for all three lists, in both revisions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing

from mcptrio import App, ServerSettings
from mcptrio.catalog import ListKind
from tests.server.rig import INITIALIZE, House, Json, Wire, list_changed, running

BOTH = pytest.mark.parametrize("modern", [False, True], ids=["2025-11-25", "2026-07-28"])


async def handler() -> str:
    return "x"


def changers() -> dict[str, Callable[[App, int], None]]:
    """For each list, something that changes it."""
    return {
        "tools": lambda app, number: _discard(app.catalog.add_tool(handler, name=f"tool{number}")),
        "prompts": lambda app, number: _discard(app.catalog.add_prompt(handler, name=f"prompt{number}")),
        "resources": lambda app, number: _discard(app.catalog.add_resource(f"a:{number}", handler)),
    }


def _discard(value: object) -> None:
    pass


CHANGES = changers()


async def watcher(home: House, modern: bool) -> Wire:
    """A connection that is told of all lists."""
    wire = await home.connect(initialized=not modern)
    if modern:
        await wire.listen("l", toolsListChanged=True, promptsListChanged=True, resourcesListChanged=True)
    else:
        await wire.result("ping")  # behind `initialized`
    return wire


async def times(wire: Wire, expected: Json, seconds: float) -> list[float]:
    """When this message came, and nothing else, within some seconds from now."""
    began = trio.current_time()
    came: list[float] = []
    with trio.move_on_after(seconds):
        while True:
            assert await wire.receive() == expected
            came.append(round(trio.current_time() - began, 3))
    return came


@BOTH
@pytest.mark.parametrize("kind", CHANGES)
async def test_the_first_comes_at_once_then_one_a_second_and_the_last_always(kind: str, modern: bool) -> None:
    async with running(App("house")) as home:
        wire = await watcher(home, modern)
        await trio.sleep(10)
        number = 0

        async def change() -> None:
            nonlocal number
            for _ in range(25):
                CHANGES[kind](home.app, number)
                number += 1
                await trio.sleep(0.1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(change)
            came = await times(wire, list_changed(kind, "l" if modern else None), 30.0)
        assert came == [0, 1, 2, 3]


@BOTH
async def test_a_change_right_after_the_start_is_told_at_once_too(modern: bool) -> None:
    # What was declared before anybody could be told is no change that was announced.
    app = App("house")
    for change in CHANGES.values():
        change(app, 0)
    async with running(app) as home:
        wire = await watcher(home, modern)
        CHANGES["tools"](app, 1)
        assert await times(wire, list_changed("tools", "l" if modern else None), 5.0) == [0]


@BOTH
async def test_one_change_is_told_once(modern: bool) -> None:
    async with running(App("house")) as home:
        wire = await watcher(home, modern)
        await trio.sleep(10)
        for kind, change in CHANGES.items():
            change(home.app, 0)
            assert await times(wire, list_changed(kind, "l" if modern else None), 10.0) == [0]


async def test_the_lists_do_not_hold_each_other_up() -> None:
    async with running(App("house")) as home:
        wire = await watcher(home, False)
        await trio.sleep(10)
        for change in CHANGES.values():
            change(home.app, 0)
        messages = await wire.rest()
        assert sorted(str(each["method"]) for each in messages) == sorted(
            f"notifications/{kind}/list_changed" for kind in CHANGES
        )


@BOTH
async def test_creations_and_deletions_change_the_list_of_resources_and_updates_do_not(modern: bool) -> None:
    async with running(App("house")) as home:
        wire = await watcher(home, modern)
        expected = list_changed("resources", "l" if modern else None)
        await trio.sleep(10)
        for report in (home.app.created_nowait, home.app.deleted_nowait):
            report("a:1")
            assert await times(wire, expected, 10.0) == [0]
        home.app.updated_nowait("a:1")
        assert await times(wire, expected, 10.0) == []
        for number in range(100):
            home.app.created_nowait(f"a:{number}")
        assert await times(wire, expected, 10.0) == [0]


async def test_removing_changes_a_list_too() -> None:
    app = App("house", settings=ServerSettings(introspection=False))
    for change in CHANGES.values():
        change(app, 0)
    async with running(app) as home:
        wire = await watcher(home, False)
        await trio.sleep(10)
        app.remove_tool("tool0")
        app.remove_resource("a:0")
        app.remove_prompt("prompt0")
        assert len(await wire.rest()) == 3
        for method in ("tools/list", "resources/list", "prompts/list"):
            assert next(iter((await wire.result(method)).values())) == []
        with pytest.raises(ValueError, match="tool0"):
            app.remove_tool("tool0")


async def test_a_session_is_told_only_once_it_said_that_it_is_initialized() -> None:
    async with running(App("house")) as home:
        wire = await home.connect()
        await trio.sleep(10)
        await wire.result("initialize", INITIALIZE)
        CHANGES["tools"](home.app, 0)
        assert await wire.rest(5.0) == []


async def test_the_interval_is_a_setting() -> None:
    async with running(App("house", settings=ServerSettings(list_changed_interval=5.0))) as home:
        wire = await watcher(home, False)
        await trio.sleep(10)
        CHANGES["tools"](home.app, 0)
        await trio.testing.wait_all_tasks_blocked()
        CHANGES["tools"](home.app, 1)
        assert await times(wire, list_changed("tools"), 20.0) == [0, 5]


def test_the_kinds_of_lists_are_the_three_of_the_protocol() -> None:
    assert [kind.value for kind in ListKind] == ["tools", "resources", "prompts"]
