"""How tools run: threads, deadlines, concurrency and cancellation."""

from __future__ import annotations

import functools
import threading
from collections.abc import Awaitable

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mcptrio.catalog import Catalog, Context, ToolError

from .calls import call, text_of
from .captured_logs import captured_logs


async def test_plain_functions_run_in_threads_of_which_there_are_so_many() -> None:
    catalog = Catalog(threads=1)
    running = 0
    most = 0
    names = set()

    def tool() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        names.add(threading.current_thread() is threading.main_thread())
        running -= 1

    catalog.add_tool(tool)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(call, catalog, "tool")
    assert names == {False}
    assert most == 1


async def test_a_plain_wrapper_of_an_async_function_runs_it_on_the_trio_thread() -> None:
    async def inner(city: str) -> str:
        await trio.lowlevel.checkpoint()
        return city

    @functools.wraps(inner)
    def tool(city: str) -> Awaitable[str]:
        return inner(city)

    catalog = Catalog()
    catalog.add_tool(tool)
    assert text_of(await call(catalog, "inner", b'{"city": "oslo"}')) == "oslo"


async def test_a_call_that_takes_too_long_is_a_result(autojump_clock: MockClock) -> None:
    catalog = Catalog()
    cancelled = False

    async def slow() -> None:
        nonlocal cancelled
        try:
            await trio.sleep_forever()
        finally:
            cancelled = True

    async def quick() -> str:
        await trio.sleep(2)
        return "done"

    catalog.add_tool(slow, timeout=2.5)
    catalog.add_tool(quick, timeout=2.5)
    begin = trio.current_time()
    result = await call(catalog, "slow")
    assert trio.current_time() - begin == 2.5
    assert result.is_error is True
    assert text_of(result) == "slow timed out after 2.5 s"
    assert cancelled
    assert text_of(await call(catalog, "quick")) == "done"


async def test_a_thread_goes_on_after_its_timeout_and_keeps_its_slot() -> None:
    catalog = Catalog()
    proceed = threading.Event()
    ended = threading.Event()
    calls = []

    def stuck() -> str:
        calls.append(1)
        proceed.wait(10)
        ended.set()
        return "done"

    catalog.add_tool(stuck, timeout=0.01, concurrency=1)
    try:
        assert text_of(await call(catalog, "stuck")) == "stuck timed out after 0.01 s"
        # The one slot is still the thread's, so that the next call waits for it and never begins.
        assert text_of(await call(catalog, "stuck")) == "stuck timed out after 0.01 s"
        assert len(calls) == 1
    finally:
        proceed.set()
    assert await trio.to_thread.run_sync(ended.wait, 10)


async def test_a_cancelled_wait_for_a_thread_gives_its_slot_back() -> None:
    catalog = Catalog(threads=1)
    proceed = threading.Event()

    def stuck() -> None:
        proceed.wait(10)

    def bounded() -> str:
        return "ran"

    catalog.add_tool(stuck)
    catalog.add_tool(bounded, concurrency=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call, catalog, "stuck")
        await wait_all_tasks_blocked()
        with trio.move_on_after(0.01) as scope:
            await call(catalog, "bounded")
        assert scope.cancelled_caught
        proceed.set()
    assert text_of(await call(catalog, "bounded")) == "ran"


async def test_without_a_timeout_a_cancelled_call_waits_for_its_thread() -> None:
    catalog = Catalog()
    begun = trio.Event()
    proceed = threading.Event()
    ended = False

    def tool() -> None:
        nonlocal ended
        trio.from_thread.run_sync(begun.set)
        proceed.wait(10)
        ended = True

    catalog.add_tool(tool)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call, catalog, "tool")
        await begun.wait()
        nursery.cancel_scope.cancel(reason="the client cancelled")
        proceed.set()
    assert ended


async def test_calls_beyond_the_concurrency_wait_in_order(autojump_clock: MockClock) -> None:
    catalog = Catalog()
    order: list[str] = []

    async def tool(name: str) -> None:
        order.append(f"+{name}")
        await trio.sleep(1)
        order.append(f"-{name}")

    catalog.add_tool(tool, concurrency=2)
    async with trio.open_nursery() as nursery:
        for name in ["a", "b", "c", "d"]:
            nursery.start_soon(call, catalog, "tool", b'{"name": "%s"}' % name.encode())
            await trio.sleep(0.1)
    assert order == ["+a", "+b", "-a", "+c", "-b", "+d", "-c", "-d"]


async def test_a_failed_or_cancelled_call_gives_its_slot_back(autojump_clock: MockClock) -> None:
    catalog = Catalog()

    async def tool(fail: bool) -> str:
        if fail:
            raise ToolError("as asked")
        await trio.sleep(5)
        return "done"

    catalog.add_tool(tool, concurrency=1)
    assert text_of(await call(catalog, "tool", b'{"fail": true}')) == "as asked"
    with trio.move_on_after(1):
        await call(catalog, "tool", b'{"fail": false}')
    assert text_of(await call(catalog, "tool", b'{"fail": false}')) == "done"


async def test_a_tool_may_call_itself_within_its_concurrency() -> None:
    catalog = Catalog()

    async def tool(depth: int, context: Context) -> str:
        if depth:
            return text_of(await call(catalog, "tool", b'{"depth": %d}' % (depth - 1), context))
        return "bottom"

    catalog.add_tool(tool, concurrency=2)
    assert text_of(await call(catalog, "tool", b'{"depth": 1}')) == "bottom"


async def test_cancellation_passes_through(autojump_clock: MockClock) -> None:
    catalog = Catalog()
    catalog.add_tool(trio.sleep_forever, name="t")
    with trio.move_on_after(1) as scope:
        await call(catalog, "t")
    assert scope.cancelled_caught


async def test_an_error_beside_cancellation_is_logged_and_does_not_escape(autojump_clock: MockClock) -> None:
    catalog = Catalog()

    async def fails_in_cleanup() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in cleanup")

    async def tool() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fails_in_cleanup)
            await trio.sleep_forever()

    async def both() -> None:
        # What a nursery of another library may let out: cancelled and failed at once.
        try:
            await trio.sleep_forever()
        except trio.Cancelled as cancelled:
            raise BaseExceptionGroup("both", [cancelled, ValueError("in cleanup")]) from None  # noqa: ASYNC104 # it holds the Cancelled

    catalog.add_tool(both)
    with captured_logs() as logs, trio.move_on_after(1) as scope:
        await call(catalog, "both")
    assert scope.cancelled_caught
    assert [entry["kind"] for entry in logs] == ["cancelled"]
    catalog.add_tool(tool)
    with captured_logs() as logs, trio.move_on_after(1):
        assert "correlation id" in text_of(await call(catalog, "tool"))
    assert len(logs) == 1


async def test_an_error_beside_a_timeout_still_times_out(autojump_clock: MockClock) -> None:
    async def both() -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled as cancelled:
            raise BaseExceptionGroup("both", [cancelled, ValueError("in cleanup")]) from None  # noqa: ASYNC104 # it holds the Cancelled

    catalog = Catalog()
    catalog.add_tool(both, timeout=1)
    with captured_logs() as logs:
        assert text_of(await call(catalog, "both")) == "both timed out after 1 s"
    assert len(logs) == 1


async def test_a_group_that_is_only_cancellation_passes_through(autojump_clock: MockClock) -> None:
    async def tool() -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled as cancelled:
            raise BaseExceptionGroup("only", [cancelled]) from None  # noqa: ASYNC104 # it holds the Cancelled

    catalog = Catalog()
    catalog.add_tool(tool)
    with captured_logs() as logs, trio.move_on_after(1) as scope:
        await call(catalog, "tool")
    assert scope.cancelled_caught
    assert logs == []


async def test_a_call_under_way_survives_the_removal_of_its_tool(autojump_clock: MockClock) -> None:
    catalog = Catalog()

    async def tool() -> str:
        await trio.sleep(1)
        return "done"

    catalog.add_tool(tool)
    results = []

    async def run() -> None:
        results.append(text_of(await call(catalog, "tool")))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await wait_all_tasks_blocked()
        catalog.remove_tool("tool")
    assert results == ["done"]


async def test_a_plain_function_that_exits_fails_alone() -> None:
    catalog = Catalog()

    def leave() -> str:
        raise SystemExit("usage: no")

    catalog.add_tool(leave)
    with captured_logs() as logs:
        result = await call(catalog, "leave")
    assert result.is_error is True
    assert "SystemExit: usage: no" in str(logs[0]["error"])
