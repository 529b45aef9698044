"""`wait_for_change`: a client that only calls tools misses nothing and leaves nothing."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from mcptrio import App, DeclarationError, Feed
from mcptrio.app.wait_for_change import WaitForChange
from mcptrio.catalog import Catalog
from mcptrio.live import Change, Hub
from mcptrio.live.recent import MOST
from mcptrio.protocol import Revision
from tests.server.rig import Json, Wire, cancelled, expect_nothing_left, running
from tests.server.work import BOTH, call, connect, text_of

settled = trio.testing.wait_all_tasks_blocked


def offering() -> App:
    app = App("house", wait_for_change=True)

    @app.resource("note:{id}")
    async def note(id: int) -> str:
        return str(id)

    return app


async def send(wire: Wire, modern: bool, *uris: str, **others: object) -> None:
    await wire.send(call(1, "wait_for_change", {"uris": list(uris), **others}, modern=modern))


def answer_of(message: Json) -> Json:
    result = message["result"]
    assert isinstance(result, dict)
    assert not result.get("isError"), result
    return dict(result["structuredContent"])


async def wait(wire: Wire, *uris: str, modern: bool = True, **others: object) -> Json:
    await send(wire, modern, *uris, **others)
    return answer_of(await wire.receive())


async def refusal(wire: Wire, *uris: str, **others: object) -> str:
    await send(wire, True, *uris, **others)
    message = await wire.receive()
    result = message["result"]
    assert isinstance(result, dict)
    assert result["isError"] is True
    return text_of(message)


@BOTH
async def test_it_answers_when_one_of_the_resources_changes(
    modern: bool, autojump_clock: trio.testing.MockClock
) -> None:
    app = offering()
    async with running(app) as house:
        wire = await connect(house, modern)
        await send(wire, modern, "note:1", "note:2", "note:3")
        await trio.sleep(20)
        app.updated_nowait("note:4")
        assert await wire.rest() == []
        app.updated_nowait("note:2")
        answer = answer_of(await wire.receive())
        assert answer == {"changed": ["note:2"], "cursor": f"{app.hub.epoch}.2", "timedOut": False}
        await settled()
        expect_nothing_of_it(app)


def expect_nothing_of_it(app: App) -> None:
    assert app.hub.statistics().subscriptions == 0
    assert app.hub._uris == {}


@BOTH
async def test_it_answers_when_the_time_is_over(modern: bool, autojump_clock: trio.testing.MockClock) -> None:
    app = offering()
    async with running(app) as house:
        wire = await connect(house, modern)
        for others, seconds in (({}, 30), ({"timeout": 300}, 300), ({"timeout": 0.5}, 0.5)):
            began = trio.current_time()
            answer = await wait(wire, "note:1", modern=modern, **others)
            assert trio.current_time() - began == pytest.approx(seconds, abs=0.01)
            assert answer == {"changed": [], "cursor": f"{app.hub.epoch}.0", "timedOut": True}
            expect_nothing_of_it(app)


async def test_what_changed_since_the_cursor_is_told_at_once(autojump_clock: trio.testing.MockClock) -> None:
    app = offering()
    async with running(app) as house:
        wire = await connect(house, True)
        app.updated_nowait("note:1")
        began = trio.current_time()
        cursor = (await wait(wire, "note:1", timeout=0))["cursor"]
        for uri in ("note:3", "note:9", "note:1", "note:3"):
            app.updated_nowait(uri)
        answer = await wait(wire, "note:1", "note:2", "note:3", "note:1", since=cursor)
        assert answer["changed"] == ["note:1", "note:3"], "in the order in which they were asked for"
        assert trio.current_time() - began < 1
        assert await wait(wire, "note:1", since=answer["cursor"], timeout=1) == {
            "changed": [],
            "cursor": answer["cursor"],
            "timedOut": True,
        }


async def test_what_changes_in_one_step_is_told_in_one_answer(autojump_clock: trio.testing.MockClock) -> None:
    app = offering()
    async with running(app) as house:
        wire = await connect(house, True)
        await send(wire, True, "note:1", "note:2", "note:3")
        await settled()
        for uri in ("note:3", "note:1", "note:9"):
            app.updated_nowait(uri)
        answer = answer_of(await wire.receive())
        assert (answer["changed"], answer["cursor"]) == (["note:1", "note:3"], f"{app.hub.epoch}.3")


async def test_without_a_cursor_only_changes_from_now_on_count(
    autojump_clock: trio.testing.MockClock,
) -> None:
    app = offering()
    async with running(app) as house:
        wire = await connect(house, True)
        app.updated_nowait("note:1")
        assert (await wait(wire, "note:1", since=None, timeout=5))["timedOut"] is True


async def test_a_cursor_of_before_a_restart_is_a_gap(autojump_clock: trio.testing.MockClock) -> None:
    earlier = WaitForChange(Hub(), Catalog())._recent.cursor()
    app = offering()
    async with running(app) as house:
        wire = await connect(house, True)
        began = trio.current_time()
        assert await wait(wire, "note:2", "note:1", since=earlier) == {
            "changed": ["note:2", "note:1"],
            "cursor": f"{app.hub.epoch}.0",
            "timedOut": False,
            "gap": True,
        }
        assert trio.current_time() - began < 1


async def test_a_cursor_that_is_too_old_is_a_gap_and_never_silence(
    autojump_clock: trio.testing.MockClock,
) -> None:
    app = offering()
    async with running(app) as house:
        wire = await connect(house, True)
        cursor = (await wait(wire, "note:1", timeout=0))["cursor"]
        app.updated_nowait("note:1")
        for number in range(MOST):
            app.updated_nowait(f"other:{number}")
        known = await wait(wire, "note:1", since=cursor)
        assert (known["changed"], "gap" in known) == (["note:1"], False)
        for number in range(MOST, 2 * MOST):
            app.updated_nowait(f"other:{number}")
        assert (await wait(wire, "note:1", since=cursor))["gap"] is True


async def test_a_hub_that_is_rebuilt_during_the_wait_is_a_gap(autojump_clock: trio.testing.MockClock) -> None:
    hub, catalog = Hub(), Catalog()
    catalog.add_pattern("note:{id}")
    tool = WaitForChange(hub, catalog)
    async with trio.open_nursery() as nursery:

        async def rebuild() -> None:
            await trio.sleep(1)
            hub.rebuild()

        nursery.start_soon(rebuild)
        answer = await tool.wait_for_change(["note:1"], timeout=5)
    assert (answer.changed, answer.gap, answer.timed_out) == (["note:1"], True, False)
    assert answer.cursor == f"{hub.epoch}.0"


@pytest.mark.parametrize(
    ("uris", "others", "told"),
    [
        (["note:1", "note:x", "else:1"], {}, "`uris`: there is no such resource: note:x, else:1"),
        ([f"else:{number}" for number in range(9)], {}, "else:3, else:4 and 4 more"),
        (["no uri"], {}, "`uris`: ' ' at position 2 may not stand in a URI"),
        ([], {}, "`uris`"),
        ([f"note:{number}" for number in range(101)], {}, "`uris`"),
        (["note:1"], {"timeout": 300.5}, "`timeout`"),
        (["note:1"], {"timeout": -1}, "`timeout`"),
        (["note:1"], {"since": "made up"}, "`since`: 'made up' is no cursor of an earlier answer"),
    ],
)
async def test_what_cannot_be_waited_for_is_refused_in_words(
    uris: list[str], others: Json, told: str, autojump_clock: trio.testing.MockClock
) -> None:
    app = offering()
    async with running(app) as house:
        assert told in await refusal(await connect(house, True), *uris, **others)
        expect_nothing_of_it(app)


@BOTH
async def test_a_call_that_is_cancelled_or_whose_client_vanishes_leaves_nothing(
    modern: bool, autojump_clock: trio.testing.MockClock
) -> None:
    app = offering()
    async with running(app) as house:
        one, other = await connect(house, modern), await connect(house, modern)
        for wire in (one, other):
            await send(wire, modern, *(f"note:{number}" for number in range(100)))
        await settled()
        assert app.hub.statistics().subscriptions == 200
        await one.send(cancelled(1))
        assert await one.rest() == []
        assert app.hub.statistics().subscriptions == 100
        other.vanish()
        one.vanish()
        await settled()
        expect_nothing_left(app)


async def test_it_wants_the_source_whose_resource_it_waits_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    app = App("house", wait_for_change=True)
    started = trio.Event()

    @app.source("mail:{id}")
    async def mail(feed: Feed) -> None:
        started.set()
        feed.live()
        await trio.sleep(3)
        await feed.updated("mail:1")
        await trio.sleep_forever()

    async with running(app) as house:
        wire = await connect(house, True)
        assert not started.is_set()
        answer = await wait(wire, "mail:1")
        assert started.is_set()
        assert answer["changed"] == ["mail:1"]


async def test_it_is_offered_only_where_the_app_says_so() -> None:
    assert [tool.name for tool in App("house").catalog.tools(Revision.MODERN)] == []
    app = offering()
    (tool,) = app.catalog.tools(Revision.MODERN)
    assert tool.name == "wait_for_change"

    async def wait_for_change() -> None: ...

    with pytest.raises(DeclarationError, match="declared twice"):
        app.tool(wait_for_change)


URIS = ["note:1", "note:2", "note:3"]


@settings(max_examples=60)
@given(
    changes=st.lists(st.tuples(st.integers(0, 12), st.sampled_from([*URIS, "else:1"])), max_size=20),
    calls=st.lists(
        st.tuples(st.sets(st.sampled_from(URIS), min_size=1), st.integers(0, 4), st.integers(0, 3)),
        max_size=8,
    ),
)
def test_answers_that_follow_one_another_tell_each_change_exactly_once(
    changes: list[tuple[int, str]], calls: list[tuple[set[str], int, int]]
) -> None:
    async def main() -> None:
        hub, catalog = Hub(), Catalog()
        catalog.add_pattern("note:{id}")
        tool = WaitForChange(hub, catalog)
        published: list[str] = []

        async def change(at: int, uri: str) -> None:
            await trio.sleep(at)
            hub.publish(Change(uri=uri))
            published.append(uri)

        async with trio.open_nursery() as nursery:
            for each in changes:
                nursery.start_soon(change, *each)
            cursor, seen = None, 0
            for uris, timeout, pause in calls:
                began, before = trio.current_time(), len(published)
                answer = await tool.wait_for_change(sorted(uris), cursor, timeout)
                now = int(answer.cursor.partition(".")[2])
                if cursor is None:
                    # Before the call's first step there may have been some that do not count yet.
                    assert set(answer.changed) <= set(published[before:now]) & uris
                else:
                    assert set(answer.changed) == set(published[seen:now]) & uris
                assert not answer.gap
                assert answer.timed_out is (answer.changed == [])
                if answer.timed_out:
                    assert trio.current_time() - began >= timeout
                cursor, seen = answer.cursor, now
                await trio.sleep(pause)
        assert hub.statistics().subscriptions == 0

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
