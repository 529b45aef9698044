"""Who is let in over HTTP: tokens, rates, web pages; and that who is not leaves nothing."""

from functools import partial

import pytest
import trio.testing

from mcptrio import App, ServerSettings
from mcptrio.access import Access, RateLimit, Tokens
from mcptrio.wire import Limits
from tests.server.http.rig import HttpHouse, HttpWire, http
from tests.server.rig import INITIALIZE, request

ALICE, BOB = "alice-0123456789abcdef", "bob-0123456789abcdef"


def guarded() -> App:
    app = App("house", access=Access(Tokens.parse(f"alice:{ALICE}\nbob:{BOB}\n", "tokens")))

    @app.resource("who://am-i")
    async def who() -> str:
        return "you"

    return app


async def outside(home: HttpHouse) -> HttpWire:
    """A connection through an endpoint of its own, as a socket's is."""
    server = home.app.server
    if len(server.endpoints) == 1:
        server._open_endpoint("outside", home.app.access, (), ("https://page.example",))
    endpoint = server.endpoints[1]
    return await home.connect(endpoint=endpoint)


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer x", f"Basic {ALICE}", f"Bearer {ALICE}, Bearer {BOB}", f"Bearer {ALICE} x"],
)
async def test_nobody_without_a_token_is_let_in(authorization: str | None) -> None:
    async with http(guarded()) as home:
        for method in ("POST", "GET", "DELETE"):
            wire = await outside(home)
            body = b'{"jsonrpc":"2.0","id":1,"method":"ping"}' if method == "POST" else b""
            answer = await wire.request(method, body, authorization=authorization)
            assert answer.status == 401
            assert answer.headers["www-authenticate"].startswith("Bearer ")
            assert ALICE.encode() not in await answer.body()
        metrics = await (await outside(home)).request("GET", path="/metrics", authorization=authorization)
        assert metrics.status == 401
        health = await (await outside(home)).request("GET", path="/healthz")
        assert health.status == 200


async def test_a_websocket_is_refused_before_its_upgrade() -> None:
    async with http(guarded()) as home:
        wire = await outside(home)
        answer = await wire.request(
            "GET",
            upgrade="websocket",
            connection="Upgrade",
            sec_websocket_version="13",
            sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==",
        )
        assert answer.status == 401


async def test_a_token_in_the_query_is_none() -> None:
    async with http(guarded()) as home:
        wire = await outside(home)
        answer = await wire.request("GET", path=f"/mcp?access_token={ALICE}")
        assert answer.status == 401


async def test_a_session_belongs_to_who_opened_it() -> None:
    async with http(guarded()) as home:
        opened = await (await outside(home)).post(
            request(0, "initialize", INITIALIZE), authorization=f"Bearer {ALICE}"
        )
        id = opened.headers["mcp-session-id"]
        ping = partial(HttpWire.post, message=request(1, "ping"), mcp_session_id=id)
        assert (await ping(await outside(home), authorization=f"Bearer {BOB}")).status == 404
        assert (await ping(await outside(home), authorization=f"bearer {ALICE}")).status == 200
        (peer,) = home.app.server.endpoints[1].peers.values()
        assert peer.principal == "alice"


async def test_the_log_names_who_asked_whichever_connection_brought_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = guarded()

    @app.tool
    async def fail() -> None:
        raise RuntimeError("on purpose")

    async with http(app) as home:
        wire = await outside(home)
        answer = await wire.modern(1, "tools/call", {"name": "fail"}, authorization=f"Bearer {ALICE}")
        await answer.body()
        opened = await wire.post(request(0, "initialize", INITIALIZE), authorization=f"Bearer {BOB}")
        await opened.body()
        id = opened.headers["mcp-session-id"]
        call = request(1, "tools/call", {"name": "fail"})
        answer = await wire.post(call, authorization=f"Bearer {BOB}", mcp_session_id=id)
        await answer.body()
    told = [record.getMessage() for record in caplog.records if "handler failed" in record.getMessage()]
    assert ["principal='alice'" in told[0], "principal='bob'" in told[1], len(told)] == [True, True, 2]


async def test_who_asks_too_often_is_told_when_to_come_back() -> None:
    app = guarded()
    app.access.rate = RateLimit(1.0, 2)
    async with http(app) as home:
        wire = await outside(home)
        statuses = []
        for number in range(3):
            answer = await wire.modern(number, "tools/list", authorization=f"Bearer {ALICE}")
            statuses.append(answer.status)
            body = await answer.json()
        assert statuses == [200, 200, 429]
        assert answer.headers["retry-after"] == "1"
        assert body["error"]["code"] == -32603  # type: ignore[index]
        assert body["error"]["data"]["reason"] == "rate_limited"  # type: ignore[index]
        assert 0 < body["error"]["data"]["retryAfter"] <= 1  # type: ignore[index]
        assert (await wire.modern(9, "tools/list", authorization=f"Bearer {BOB}")).status == 200


async def test_a_page_of_an_allowed_origin_may_ask_and_read() -> None:
    async with http(guarded()) as home:
        page = "https://page.example"
        wire = await outside(home)
        asked = await wire.request(
            "OPTIONS",
            origin=page,
            access_control_request_method="POST",
            access_control_request_headers="authorization, mcp-param-region, x-evil",
        )
        assert asked.status == 204
        assert asked.headers["access-control-allow-origin"] == page
        assert "mcp-param-region" in asked.headers["access-control-allow-headers"]
        assert "x-evil" not in asked.headers["access-control-allow-headers"]
        await asked.body()
        answer = await wire.modern(1, "tools/list", origin=page, authorization=f"Bearer {ALICE}")
        assert answer.headers["access-control-allow-origin"] == page
        assert "Mcp-Session-Id" in answer.headers["access-control-expose-headers"]
        await answer.body()
        # A page that cannot read why it was refused cannot mend it.
        refused = await wire.modern(1, "tools/list", origin=page)
        assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, page)


async def test_a_page_is_told_what_the_wire_refuses_too() -> None:
    async with http(App("house", settings=ServerSettings(limits=Limits(max_message=10)))) as home:
        wire = await outside(home)
        refused = await wire.modern(1, "tools/list", origin="https://page.example")
        assert refused.status == 413
        assert refused.headers["access-control-allow-origin"] == "https://page.example"


async def test_a_page_of_another_origin_is_told_nothing() -> None:
    async with http(guarded()) as home:
        for method in ("OPTIONS", "GET", "POST"):
            answer = await (await outside(home)).request(method, origin="https://evil.example")
            assert answer.status == 403
            assert "access-control-allow-origin" not in answer.headers


async def test_a_refused_initialize_names_no_session() -> None:
    app = guarded()
    app.access.rate = RateLimit(0.001, 1)
    async with http(app) as home:
        wire = await outside(home)
        first = await wire.post(request(0, "initialize", INITIALIZE), authorization=f"Bearer {ALICE}")
        assert first.headers["mcp-session-id"]
        await first.body()
        second = await wire.post(request(0, "initialize", INITIALIZE), authorization=f"Bearer {ALICE}")
        assert second.status == 429
        assert "mcp-session-id" not in second.headers
        await second.body()
        await trio.testing.wait_all_tasks_blocked()
        assert len(home.app.server.endpoints[1].http.sessions) == 1
