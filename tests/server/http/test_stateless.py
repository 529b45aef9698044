"""2026-07-28 over Streamable HTTP: each POST stands for itself."""

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from mcptrio import App, Context
from tests.server.http.rig import http
from tests.server.rig import ACKNOWLEDGED, ENVELOPE, TAG, notification, request, updated


def house() -> App:
    app = App("house")

    @app.tool
    async def add(a: int, b: int) -> int:
        return a + b

    @app.tool
    async def count(to: int, context: Context) -> str:
        for number in range(to):
            await context.progress(number + 1, total=to)
        return "counted"

    @app.tool
    async def sleep(seconds: float) -> str:
        await trio.sleep(seconds)
        return "woken"

    @app.resource("room://{name}")
    async def room(name: str) -> str:
        return name

    return app


async def test_one_connection_serves_one_request_after_the_other() -> None:
    async with http(house()) as home:
        wire = await home.connect()
        for number in range(5):
            answer = await wire.modern(
                number, "tools/call", {"name": "add", "arguments": {"a": number, "b": 1}}
            )
            assert answer.status == 200
            message = await answer.json()
            assert message["id"] == number
            assert message["result"]["structuredContent"] == number + 1  # type: ignore[index]
        assert (await (await wire.modern("d", "server/discover")).json())["id"] == "d"


async def test_what_belongs_to_a_request_makes_its_answer_a_stream() -> None:
    async with http(house()) as home:
        wire = await home.connect()
        params = {"name": "count", "arguments": {"to": 3}, "_meta": {"progressToken": "p"}}
        answer = await wire.modern(1, "tools/call", params)
        assert answer.status == 200
        assert answer.streams
        assert answer.headers["x-accel-buffering"] == "no"
        reports = [await answer.message() for _ in range(3)]
        assert [report["params"]["progress"] for report in reports] == [1, 2, 3]  # type: ignore[index]
        assert (await answer.message())["id"] == 1
        assert await answer.ended()
        # The connection is good for another.
        assert (await wire.modern(2, "tools/list")).status == 200


async def test_a_listen_is_acknowledged_told_and_ended_with_its_connection() -> None:
    async with http(house()) as home:
        wire = await home.connect()
        asked = {"notifications": {"resourceSubscriptions": ["room://a"], "toolsListChanged": True}}
        answer = await wire.modern("l", "subscriptions/listen", asked)
        assert answer.streams
        acknowledged = await answer.message()
        assert acknowledged["method"] == ACKNOWLEDGED
        assert acknowledged["params"] == {**asked, "_meta": {TAG: "l"}}
        for _ in range(3):
            home.app.updated_nowait("room://a")
            home.app.updated_nowait("room://b")
            assert await answer.message() == updated("room://a", "l")
        home.app.remove_tool("add")
        assert (await answer.message())["method"] == "notifications/tools/list_changed"
        assert len(home.endpoint.peers) == 1
        await trio.aclose_forcefully(wire.stream)
        await trio.testing.wait_all_tasks_blocked()
        assert home.endpoint.peers == {}
        assert home.app.hub.statistics().subscriptions == 0


async def test_a_client_that_leaves_cancels_its_request() -> None:
    cancelled = trio.Event()
    app = App("house")

    @app.tool
    async def wait() -> None:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    async with http(app) as home, trio.open_nursery() as nursery:
        wire = await home.connect()
        nursery.start_soon(lambda: wire.modern(1, "tools/call", {"name": "wait"}))
        await trio.testing.wait_all_tasks_blocked()
        assert len(home.endpoint.http.exchanges) == 1
        nursery.cancel_scope.cancel()
        await trio.aclose_forcefully(wire.stream)
        with trio.fail_after(1):
            await cancelled.wait()


async def test_nobody_cancels_the_request_of_another_by_its_id() -> None:
    async with http(house()) as home, trio.open_nursery() as nursery:
        answers = []

        async def call() -> None:
            wire = await home.connect()
            answer = await wire.modern(7, "tools/call", {"name": "sleep", "arguments": {"seconds": 0.01}})
            answers.append(await answer.json())

        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        other = await home.connect()
        told = notification("notifications/cancelled", {"requestId": 7})
        assert (await other.post(told, mcp_protocol_version="2026-07-28")).status == 202
    assert answers[0]["result"]["content"] == [{"type": "text", "text": "woken"}]


async def test_an_answer_that_takes_long_is_begun_before_anybody_gives_up(autojump_clock: MockClock) -> None:
    async with http(house()) as home:
        wire = await home.connect()
        began = trio.current_time()
        answer = await wire.modern(1, "tools/call", {"name": "sleep", "arguments": {"seconds": 100}})
        assert answer.streams
        assert trio.current_time() - began == home.app.settings.limits.comment_interval
        assert (await answer.message())["id"] == 1
        assert trio.current_time() - began == 100


ENVELOPED = request(1, "tools/list", modern=True)
REFUSED = {
    "no version field": (ENVELOPED, {"mcp_method": "tools/list"}, 400, -32020),
    "another version field": (
        ENVELOPED,
        {"mcp_method": "tools/list", "mcp_protocol_version": "2025-11-25"},
        400,
        -32020,
    ),
    "no method field": (ENVELOPED, {"mcp_protocol_version": "2026-07-28"}, 400, -32020),
    "method in another case": (
        ENVELOPED,
        {"mcp_protocol_version": "2026-07-28", "mcp_method": "Tools/List"},
        400,
        -32020,
    ),
    "no name field": (
        request(1, "resources/read", {"uri": "room://a"}, modern=True),
        {"mcp_protocol_version": "2026-07-28", "mcp_method": "resources/read"},
        400,
        -32020,
    ),
    "another name": (
        request(1, "resources/read", {"uri": "room://a"}, modern=True),
        {"mcp_protocol_version": "2026-07-28", "mcp_method": "resources/read", "mcp_name": "room://b"},
        400,
        -32020,
    ),
    "no envelope": (request(1, "tools/list"), {"mcp_protocol_version": "2026-07-28"}, 400, -32602),
    "half an envelope": (
        request(1, "tools/list", {"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}),
        {"mcp_protocol_version": "2026-07-28", "mcp_method": "tools/list"},
        400,
        -32602,
    ),
    "a version that is not served": (
        request(1, "tools/list", {"_meta": {**ENVELOPE, "io.modelcontextprotocol/protocolVersion": "v999"}}),
        {"mcp_protocol_version": "v999", "mcp_method": "tools/list"},
        400,
        -32022,
    ),
    **{
        f"{method} in an envelope": (
            request(1, method, {}, modern=True),
            {"mcp_protocol_version": "2026-07-28", "mcp_method": method},
            404,
            -32601,
        )
        for method in ("initialize", "ping", "logging/setLevel", "resources/subscribe", "unknown/method")
    },
}


@pytest.mark.parametrize(("message", "fields", "status", "code"), REFUSED.values(), ids=REFUSED)
async def test_a_request_that_cannot_be_served_is_refused_with_its_id(
    message: object, fields: dict[str, str], status: int, code: int
) -> None:
    async with http(house()) as home:
        wire = await home.connect()
        answer = await wire.post(message, **fields)
        assert answer.status == status
        body = await answer.json()
        assert body["id"] == 1
        assert body["error"]["code"] == code  # type: ignore[index]
        assert (await wire.modern(2, "tools/list")).status == 200


async def test_names_that_are_not_ascii_come_in_base64() -> None:
    async with http(house()) as home:
        wire = await home.connect()
        params = {"uri": "room://%C3%A9"}
        encoded = "=?base64?cm9vbTovLyVDMyVBOQ==?="
        answer = await wire.modern(1, "resources/read", params, mcp_name=encoded)
        assert (answer.status, (await answer.json())["id"]) == (200, 1)
        answer = await wire.modern(1, "resources/read", params, mcp_name="=?base64?cm9vbTovLyVDMyVBOQ=?=")
        assert answer.status == 400


async def test_get_and_delete_are_not_for_this_revision() -> None:
    async with http(house()) as home:
        for method in ("GET", "DELETE"):
            wire = await home.connect()
            answer = await wire.request(method, mcp_protocol_version="2026-07-28", mcp_session_id="x")
            assert answer.status == 405
            assert answer.headers["allow"] == "POST"


async def test_the_end_of_the_server_ends_a_listen_with_its_result() -> None:
    app = house()
    async with http(app) as home:
        wire = await home.connect()
        answer = await wire.modern(3, "subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        await answer.message()
        await home.endpoint.drain()
        final = await answer.message()
        assert final["id"] == 3
        assert final["result"]["_meta"][TAG] == 3  # type: ignore[index]
        assert await answer.ended()
