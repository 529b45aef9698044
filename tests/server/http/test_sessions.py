"""2025-11-25 over Streamable HTTP: sessions, their streams, and coming back."""

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from mcptrio import App, Context
from mcptrio.server.settings import ServerSettings
from tests.server.http.rig import HttpSession, http
from tests.server.rig import INITIALIZE, cancelled, list_changed, notification, request, updated


def house(settings: ServerSettings | None = None) -> App:
    app = App("house", settings=settings)

    @app.tool
    async def add(a: int, b: int) -> int:
        return a + b

    @app.tool
    async def count(to: int, seconds: float, context: Context) -> str:
        for number in range(to):
            await trio.sleep(seconds)
            await context.progress(number + 1, total=to)
        return "counted"

    @app.resource("room://{name}")
    async def room(name: str) -> str:
        return name

    return app


def progressing(id: object, to: int, seconds: float) -> object:
    arguments = {"to": to, "seconds": seconds}
    return request(
        id, "tools/call", {"name": "count", "arguments": arguments, "_meta": {"progressToken": id}}
    )


async def subscribed(session: HttpSession, *uris: str) -> None:
    for uri in uris:
        assert (await session.call(uri, "resources/subscribe", {"uri": uri}))["result"] == {}


async def test_a_session_is_opened_used_and_deleted() -> None:
    async with http(house()) as home:
        session = await home.initialize()
        assert (await session.call(1, "tools/call", {"name": "add", "arguments": {"a": 1, "b": 2}}))["result"]
        assert (await session.delete()).status == 204
        assert len(home.endpoint.http.sessions) == 0
        assert (await session.post(request(2, "ping"))).status == 404
        assert (await session.delete()).status == 404
        assert (await session.get()).status == 404


async def test_a_deletion_is_answered_even_if_a_handler_takes_its_time_to_end(
    autojump_clock: MockClock,
) -> None:
    app = house()

    @app.tool
    async def clean_up() -> str:
        try:
            await trio.sleep_forever()
        finally:
            with trio.move_on_after(30, shield=True):
                await trio.sleep_forever()
        return ""

    async with http(app) as home:
        session = await home.initialize()
        await (await home.connect()).post(
            request(1, "tools/call", {"name": "clean_up"}), mcp_session_id=session.id
        )
        before = trio.current_time()
        assert (await session.delete()).status == 204
        assert trio.current_time() == before + app.settings.limits.close_timeout
        assert (await session.post(request(2, "ping"))).status == 404
        await trio.sleep(30)
        assert len(home.endpoint.http.sessions) == 0


async def test_subscriptions_are_told_on_the_stream_that_get_opens_and_nothing_after_the_end_of_them() -> (
    None
):
    async with http(house()) as home:
        session, other = await home.initialize(), await home.initialize()
        await subscribed(session, "room://a", "room://b")
        await subscribed(other, "room://b")
        mine, theirs = await session.get(), await other.get()
        for _ in range(3):
            home.app.updated_nowait("room://a")
            assert await mine.message() == updated("room://a")
        home.app.updated_nowait("room://b")
        assert await mine.message() == await theirs.message() == updated("room://b")
        assert (await session.call(9, "resources/unsubscribe", {"uri": "room://a"}))["result"] == {}
        home.app.updated_nowait("room://a")
        home.app.updated_nowait("room://b")
        assert await mine.message() == updated("room://b")
        home.app.remove_tool("add")
        assert await mine.message() == list_changed("tools")


async def test_what_changes_while_nobody_reads_is_told_once_to_who_comes() -> None:
    async with http(house()) as home:
        session = await home.initialize()
        await subscribed(session, "room://a", "room://b")
        for _ in range(100):
            home.app.updated_nowait("room://a")
        home.app.updated_nowait("room://b")
        await trio.testing.wait_all_tasks_blocked()
        stream = await session.get()
        assert [await stream.message(), await stream.message()] == [updated("room://a"), updated("room://b")]


async def test_who_comes_back_with_the_last_id_is_told_what_followed_and_nothing_twice() -> None:
    async with http(house()) as home:
        session = await home.initialize()
        await subscribed(session, "room://a", "room://b", "room://c")
        first = await session.get()
        home.app.updated_nowait("room://a")
        primed, seen = await first.event(), await first.event()
        assert primed["data"] == ""
        for uri in ("room://b", "room://c"):  # sent, and not read
            home.app.updated_nowait(uri)
            await trio.testing.wait_all_tasks_blocked()
        second = await session.get(seen["id"])
        assert [await second.message(), await second.message()] == [updated("room://b"), updated("room://c")]
        assert await first.event() and await first.event() and await first.ended()
        home.app.updated_nowait("room://a")
        assert await second.message() == updated("room://a")


async def test_who_comes_back_without_an_id_is_told_of_all_it_has_subscribed() -> None:
    async with http(house()) as home:
        session = await home.initialize()
        await subscribed(session, "room://a", "room://b")
        first = await session.get()
        home.app.updated_nowait("room://a")
        await trio.testing.wait_all_tasks_blocked()
        second = await session.get()
        told = [await second.message(), await second.message()]
        assert sorted(each["params"]["uri"] for each in told) == ["room://a", "room://b"]  # type: ignore[index]
        del first


async def test_a_list_that_changed_on_a_stream_that_broke_is_told_to_who_comes_back() -> None:
    async with http(house()) as home:
        session = await home.initialize()
        wire = await home.connect()
        await wire.request("GET", mcp_session_id=session.id, content_type=None)
        home.app.remove_tool("add")
        await trio.testing.wait_all_tasks_blocked()
        await trio.aclose_forcefully(wire.stream)
        await trio.testing.wait_all_tasks_blocked()
        stream = await session.get()
        told = [(await stream.message())["method"] for _ in range(3)]
        assert "notifications/tools/list_changed" in told


async def test_an_answer_that_was_not_waited_for_is_there_for_who_comes_back(
    autojump_clock: MockClock,
) -> None:
    async with http(house()) as home:
        session = await home.initialize()
        wire = await home.connect()
        answer = await wire.post(progressing(1, 4, 1.0), mcp_session_id=session.id)
        assert answer.streams
        primed = await answer.event()
        assert primed["data"] == ""
        seen = await answer.event()
        await trio.aclose_forcefully(wire.stream)
        await trio.sleep(10)
        assert session.peer.requests == {}
        back = await session.get(seen["id"])
        assert [(await back.message())["params"]["progress"] for _ in range(3)] == [2, 3, 4]  # type: ignore[index]
        assert (await back.message())["id"] == 1
        assert await back.ended()


async def test_a_stream_goes_on_where_its_client_comes_back_in_the_middle(autojump_clock: MockClock) -> None:
    async with http(house()) as home:
        session = await home.initialize()
        wire = await home.connect()
        answer = await wire.post(progressing(1, 4, 1.0), mcp_session_id=session.id)
        primed = await answer.event()
        await trio.aclose_forcefully(wire.stream)
        await trio.sleep(2.5)
        back = await session.get(primed["id"])
        assert [(await back.message())["params"]["progress"] for _ in range(4)] == [1, 2, 3, 4]  # type: ignore[index]
        assert (await back.message())["id"] == 1
        assert await back.ended()


async def test_a_fast_answer_is_json_and_a_slow_one_a_stream(autojump_clock: MockClock) -> None:
    async with http(house()) as home:
        session = await home.initialize()
        fast = await session.post(
            request(1, "tools/call", {"name": "count", "arguments": {"to": 1, "seconds": 0.05}})
        )
        assert fast.headers["content-type"] == "application/json"
        slow = await session.post(
            request(2, "tools/call", {"name": "count", "arguments": {"to": 1, "seconds": 0.5}})
        )
        assert slow.streams


async def test_a_cancelled_request_is_not_answered_and_its_response_ends(autojump_clock: MockClock) -> None:
    async with http(house()) as home:
        session, other = await home.initialize(), await home.initialize()
        answer = await session.post(progressing(1, 4, 1.0))
        untouched = await other.post(progressing(1, 2, 1.0))
        assert (await session.post(cancelled(1))).status == 202
        assert (await answer.event())["data"] == ""
        assert await answer.ended()
        assert session.peer.requests == {}
        assert [(await untouched.message())["method"] for _ in range(2)] == ["notifications/progress"] * 2
        assert (await untouched.message())["id"] == 1


async def test_a_session_that_nobody_uses_ends_and_leaves_nothing(autojump_clock: MockClock) -> None:
    async with http(house()) as home:
        idle, streaming = await home.initialize(), await home.initialize()
        await subscribed(idle, "room://a")
        stream = await streaming.get()
        await stream.event()
        await trio.sleep(home.app.settings.session_timeout - 2)
        assert (await idle.call(1, "ping"))["result"] == {}
        await trio.sleep(home.app.settings.session_timeout - 2)
        assert len(home.endpoint.http.sessions) == 2
        await trio.sleep(4)
        assert len(home.endpoint.http.sessions) == 1
        assert home.app.hub.statistics().subscriptions == 0
        assert (await idle.post(request(1, "ping"))).status == 404


async def test_one_session_too_many_is_refused() -> None:
    async with http(house(ServerSettings(max_sessions=2))) as home:
        first = await home.initialize()
        await home.initialize()
        answer = await (await home.connect()).post(request(0, "initialize", INITIALIZE))
        assert answer.status == 503
        assert answer.headers["retry-after"]
        assert (await answer.json())["error"]["data"] == {"reason": "too_many_sessions"}  # type: ignore[index]
        await first.delete()
        await home.initialize()


REFUSED = {
    "a request without a session": (request(1, "tools/list"), {}, 400),
    "a session that never was": (request(1, "tools/list"), {"mcp_session_id": "x"}, 404),
    "a version that is none": (request(1, "tools/list"), {"mcp_protocol_version": "v1"}, 400),
    "a batch": ([request(1, "ping")], {}, 400),
    "an initialize that is none": (request(1, "initialize", {}), {}, 400),
    "a response without a session": ({"jsonrpc": "2.0", "id": 1, "result": {}}, {}, 400),
    "a notification without a session": (notification("notifications/initialized"), {}, 400),
    "no JSON by its type": (request(1, "ping"), {"content_type": "text/plain"}, 415),
    "no stream accepted": (request(1, "ping"), {"accept": "application/json"}, 406),
}


@pytest.mark.parametrize(("message", "fields", "status"), REFUSED.values(), ids=REFUSED)
async def test_what_belongs_to_no_session_is_refused_and_leaves_nothing(
    message: object, fields: dict[str, str], status: int
) -> None:
    async with http(house()) as home:
        answer = await (await home.connect()).post(message, **fields)
        assert answer.status == status
        assert len(home.endpoint.http.sessions) == 0


async def test_a_version_that_no_session_has_is_refused_whatever_the_method() -> None:
    async with http(house()) as home:
        session = await home.initialize()
        for method in ("POST", "GET", "DELETE"):
            body = b'{"jsonrpc":"2.0","id":1,"method":"ping"}' if method == "POST" else b""
            answer = await (await home.connect()).request(
                method, body, mcp_session_id=session.id, mcp_protocol_version="1999-12-31"
            )
            assert answer.status == 400
        assert (await session.call(2, "ping"))["id"] == 2


async def test_an_id_that_was_never_sent_is_refused_and_the_session_goes_on() -> None:
    async with http(house()) as home:
        session = await home.initialize()
        for last in ("", "x", "0-99", "1-1", "-1", "0-0", "9" * 40 + "-1"):
            assert (await session.get(last)).status == 400
        assert (await session.call(1, "ping"))["result"] == {}


async def test_the_end_of_the_server_ends_sessions_and_their_streams() -> None:
    async with http(house()) as home:
        session = await home.initialize()
        stream = await session.get()
        await stream.event()
        await home.endpoint.drain()
        assert await stream.ended()
        assert len(home.endpoint.http.sessions) == 0


async def test_who_names_streams_before_json_gets_streams() -> None:
    async with http(house()) as home:
        session = await home.initialize()
        streams_first = "text/event-stream, application/json"
        answer = await session.post(request(1, "tools/list"), accept=streams_first)
        assert answer.streams
        assert (await answer.event())["data"] == ""
        assert (await answer.message())["id"] == 1
        assert await answer.ended()


async def test_a_client_with_too_many_sessions_loses_its_oldest_that_nobody_uses() -> None:
    async with http(house(ServerSettings(max_sessions_each=2))) as home:
        used, forgotten = await home.initialize(), await home.initialize()
        stream = await used.get()
        await stream.event()
        third = await home.initialize()
        assert (await forgotten.post(request(1, "ping"))).status == 404
        assert (await used.call(1, "ping"))["result"] == (await third.call(1, "ping"))["result"] == {}
        assert len(home.endpoint.http.sessions) == 2
        other = await third.get()
        await other.event()
        answer = await (await home.connect()).post(request(0, "initialize", INITIALIZE))
        assert answer.status == 503
