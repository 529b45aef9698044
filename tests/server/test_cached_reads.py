"""Resources with `cache=`, as clients read them in both revisions."""

from __future__ import annotations

import pytest
import trio
import trio.lowlevel
import trio.testing

from mcptrio import App, Context, Feed, ServerSettings
from mcptrio.sources import LINGER
from tests.server.rig import House, Json, Wire, cancelled, request, running, updated
from tests.server.work import BOTH, connect
from tests.sources.rig import Body

URI = "note:1"
settled = trio.testing.wait_all_tasks_blocked


class Notes:
    """An app with one cached resource, which takes as long as its gate is shut."""

    def __init__(
        self, *, public: bool = False, ttl: float | None = None, settings: ServerSettings | None = None
    ) -> None:
        self.app = App("notes", settings=settings)
        self.text = "first"
        self.runs = 0
        self.gate = trio.Event()
        self.gate.set()
        self.contexts: list[Context] = []

        @self.app.resource(URI, cache=60, public=public, ttl=ttl)
        async def note(context: Context) -> str:
            self.runs += 1
            self.contexts.append(context)
            text = self.text
            await self.gate.wait()
            return text

    def change(self, text: str) -> None:
        self.text = text
        self.app.updated_nowait(URI)


def read_request(id: object, *, modern: bool = False) -> Json:
    return request(id, "resources/read", {"uri": URI}, modern=modern)


def text_of(result: object) -> str:
    assert isinstance(result, dict)
    return str(result["contents"][0]["text"])


async def read(wire: Wire, modern: bool = False) -> str:
    return text_of(await wire.result("resources/read", {"uri": URI}, modern=modern))


async def hints(wire: Wire, uri: str = URI) -> tuple[object, object]:
    result = await wire.result("resources/read", {"uri": uri}, modern=True)
    return result["ttlMs"], result["cacheScope"]


@BOTH
async def test_what_was_read_is_given_to_the_next_one_until_it_changes_or_its_time_is_over(
    modern: bool,
) -> None:
    notes = Notes()
    async with running(notes.app) as house:
        ann, bob = await connect(house, modern), await connect(house, modern)
        assert [await read(ann, modern), await read(bob, modern), await read(ann, modern)] == ["first"] * 3
        assert notes.runs == 1
        notes.change("second")
        assert [await read(ann, modern), await read(bob, modern)] == ["second"] * 2
        assert notes.runs == 2
        notes.text = "third, of which nobody told"
        await trio.sleep(59)
        assert await read(ann, modern) == "second"
        await trio.sleep(1)
        assert await read(ann, modern) == "third, of which nobody told"
        assert notes.runs == 3


async def test_only_the_later_revision_hears_how_long_it_is_good() -> None:
    notes = Notes()
    async with running(notes.app) as house:
        modern, legacy = await connect(house, True), await connect(house, False)
        assert await hints(modern) == (60_000, "private")
        await trio.sleep(15.5)
        ttl, _ = await hints(modern)
        assert isinstance(ttl, int)
        assert 44_400 <= ttl <= 44_500
        assert set(await legacy.result("resources/read", {"uri": URI})) == {"contents"}
        notes.change("second")
        assert await hints(modern) == (60_000, "private")


@pytest.mark.parametrize(("ttl", "told"), [(0, 0), (2, 2_000), (500, 60_000)])
async def test_a_ttl_of_its_own_is_told_but_for_no_longer_than_it_is_kept(ttl: float, told: int) -> None:
    async with running(Notes(public=True, ttl=ttl).app) as house:
        assert await hints(await connect(house, True)) == (told, "public")


@BOTH
async def test_who_reads_after_each_update_always_gets_what_was_announced(modern: bool) -> None:
    notes = Notes()
    async with running(notes.app) as house:
        wires = [await connect(house, modern) for _ in range(4)]
        for wire in wires:
            await (wire.listen("l", URI) if modern else wire.subscribe(URI))
            await read(wire, modern)
        for number in range(20):
            notes.change(str(number))
            for wire in wires:
                assert await wire.receive() == updated(URI, "l" if modern else None)
            await trio.lowlevel.checkpoint()
            for wire in wires:
                await wire.send(read_request(number, modern=modern))
            for wire in wires:
                assert text_of((await wire.receive())["result"]) == str(number)
        assert notes.runs == 21


async def test_a_change_during_a_read_is_seen_by_every_read_that_begins_after_it() -> None:
    notes = Notes()
    notes.gate = trio.Event()
    async with running(notes.app) as house:
        early, late = await connect(house, True), await connect(house, True)
        await early.send(read_request(1, modern=True))
        await settled()
        notes.change("second")
        await late.send(read_request(1, modern=True))
        await settled()
        assert notes.runs == 2
        notes.gate.set()
        result = (await early.receive())["result"]
        assert isinstance(result, dict)
        assert (text_of(result), result["ttlMs"]) == ("first", 0)
        assert text_of((await late.receive())["result"]) == "second"
        assert await read(early, True) == "second"
        assert notes.runs == 2


@BOTH
async def test_where_the_client_that_began_the_run_cancels_or_vanishes_the_others_are_answered(
    modern: bool,
) -> None:
    notes = Notes()
    notes.gate = trio.Event()
    async with running(notes.app) as house:
        wires = [await connect(house, modern) for _ in range(4)]
        for wire in wires:
            await wire.send(read_request(1, modern=modern))
            await settled()
        assert notes.runs == 1
        await wires[0].send(cancelled(1))
        await settled()
        assert notes.runs == 2
        wires[1].vanish()
        wires[2].vanish()
        await settled()
        notes.gate.set()
        assert text_of((await wires[3].receive())["result"]) == "first"
        assert await wires[0].rest() == []
        assert notes.app.server.reads._waited == {}
        assert notes.app.server.reads._table.running == 0


async def as_principal(house: House, name: str | None) -> Wire:
    wire = await connect(house, True)
    wire.peer.principal = name
    return wire


async def test_what_one_principal_has_read_is_given_to_no_other() -> None:
    app = App("notes")

    @app.resource("whose:1", cache=60)
    async def whose(context: Context) -> str:
        return f"of {context.principal}"

    async with running(app) as house:
        for _ in range(2):
            for name in ("ann", "bob", None):
                wire = await as_principal(house, name)
                result = await wire.result("resources/read", {"uri": "whose:1"}, modern=True)
                assert (text_of(result), result["cacheScope"]) == (f"of {name}", "private")
        assert app.server.reads.statistics().misses == 3


async def test_what_is_public_is_read_once_for_all_and_for_nobody_in_particular() -> None:
    notes = Notes(public=True)
    async with running(notes.app) as house:
        for name in ("ann", "bob", None):
            assert await hints(await as_principal(house, name)) == (60_000, "public")
    assert notes.runs == 1
    assert notes.contexts[0].principal is None


async def test_a_cached_handler_cannot_see_or_hold_up_or_ask_the_request_that_began_its_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App("notes")
    seen: list[object] = []

    @app.resource("a:1", cache=60)
    async def one(context: Context) -> str:
        seen.extend([context.request_meta, context.client_capabilities])
        await context.progress(1)
        await context.log("error", "to nobody")
        await context.close_stream()
        return "read"

    @app.resource("a:2", cache=60)
    async def two(context: Context) -> str:
        return str(await context.roots())

    async with running(app) as house:
        wire = await connect(house, True)
        params: Json = {
            "uri": "a:1",
            "_meta": {"progressToken": "t", "io.modelcontextprotocol/logLevel": "debug"},
        }
        assert text_of(await wire.result("resources/read", params, modern=True)) == "read"
        assert seen == [{}, {}]
        code, _, data = await wire.error("resources/read", {"uri": "a:2"}, modern=True)
        assert code == -32603
        assert isinstance(data, dict)
        assert list(data) == ["correlationId"]
    assert "remove cache=" in caplog.text


async def test_errors_are_not_kept() -> None:
    app = App("notes")
    runs = 0

    @app.resource("note:{id}", cache=60)
    async def note(id: str) -> str:
        nonlocal runs
        runs += 1
        raise OSError("not now")

    async with running(app) as house:
        wire = await connect(house, True)
        for _ in range(2):
            assert (await wire.error("resources/read", {"uri": URI}, modern=True))[0] == -32603
    assert runs == 2


async def test_a_resource_that_takes_the_place_of_another_gives_its_own() -> None:
    notes = Notes()
    async with running(notes.app) as house:
        wire = await connect(house, True)
        assert await read(wire, True) == "first"
        notes.app.remove_resource(URI)

        @notes.app.resource(URI, cache=60)
        async def other() -> str:
            return "of the other"

        assert await read(wire, True) == "of the other"


async def test_what_an_earlier_run_or_a_hub_before_its_rebuilding_had_is_forgotten() -> None:
    notes = Notes()
    for _ in range(2):
        async with running(notes.app) as house:
            assert await read(await connect(house, True), True) == "first"
    assert notes.runs == 2
    async with running(notes.app) as house:
        await read(await connect(house, True), True)
        notes.app.server._rebuild_hub()
        await settled()
        await read(await connect(house, True), True)
        assert notes.runs == 4


async def test_a_read_wants_its_source_and_what_is_given_without_it_says_how_old_it_may_be() -> None:
    body = Body()
    app = App("notes")
    app.source("note:{id}", name="mail")(body.run)

    @app.resource("note:{id}", cache=1000)
    async def note(id: str) -> str:
        return f"{id} after {body.begun}"

    async with running(app) as house:
        wire = await connect(house, True)
        assert await hints(wire) == (1_000_000, "private")
        assert body.running == 1
        await trio.sleep(LINGER + 1)
        assert body.running == 0
        result = await wire.result("resources/read", {"uri": URI}, modern=True)
        assert (text_of(result), result["ttlMs"]) == ("1 after 1", 0)
        contents = result["contents"]
        assert isinstance(contents, list)
        assert "lastModified" in contents[0]["annotations"]
        assert body.running == 0


async def test_what_a_source_reports_under_a_template_counts_for_its_uri() -> None:
    app = App("notes")
    runs: list[str] = []
    report = trio.Event()

    @app.source("note:{id}")
    async def mail(feed: Feed) -> None:
        feed.live()
        await report.wait()
        await feed.updated("note:1")
        await trio.sleep_forever()

    @app.resource("note:{id}", cache=60)
    async def note(id: str) -> str:
        runs.append(id)
        return id

    async with running(app) as house:
        wire = await connect(house, True)
        for _ in range(2):
            await hints(wire, "note:1")
            await hints(wire, "note:2")
            report.set()
            await settled()
    assert runs == ["1", "2", "1"]


async def test_the_figures_tell_what_the_cache_did() -> None:
    notes = Notes()
    notes.gate = trio.Event()
    async with running(notes.app) as house:
        wires = [await connect(house, True) for _ in range(3)]
        for wire in wires:
            await wire.send(read_request(1, modern=True))
        await settled()
        notes.gate.set()
        for wire in wires:
            await wire.receive()
        await read(wires[0], True)
        notes.change("second")
        figures = await house.metrics()
        assert {
            name.removeprefix("mcptrio_read_cache_"): value
            for name, value in figures.items()
            if "_cache_" in name and "created" not in name
        } == {
            "hits_total": 1,
            "misses_total": 1,
            "coalesced_total": 2,
            "dropped_total": 1,
            "entries": 0,
            "bytes": 0,
        }
        await read(wires[0], True)
        assert (await house.metrics())["mcptrio_read_cache_bytes"] > 1000


async def test_memory_is_bounded_over_all_resources() -> None:
    limit = 100_000
    app = App("notes", settings=ServerSettings(cache_bytes=limit))

    @app.resource("note:{id}", cache=60)
    async def note(id: int) -> str:
        return "x" * 30 * id

    async with running(app) as house:
        wire = await connect(house, True)
        for number in range(200):
            await hints(wire, f"note:{number}")
            assert app.server.reads.statistics().bytes <= limit
        assert app.server.reads.statistics().entries > 5
