"""What becomes of a request: a response that arrives, or a WebSocket whose first byte is its 101."""

import struct

import pytest
import trio
from trio.testing import MockClock

from mcptrio.wire import (
    Exchange,
    Limits,
)
from tests.wire.rig import CLOSE, PONG, TEXT, Rig, close_frame, echo, frame, upgrade_request


async def test_a_plain_response_goes_out_whole_and_head_gets_no_body(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def health(exchange: Exchange) -> None:
        assert (exchange.path, exchange.query, exchange.peername) == ("/healthz", "deep=1", "memory client")
        assert ("x-case", "Kept") in exchange.headers
        exchange.respond(
            200, b'{"ok":true}', content_type="application/json", headers=[("Cache-Control", "no-store")]
        )

    rig = Rig(nursery, routes={"/healthz": health})
    for method, body in (("GET", b'{"ok":true}'), ("HEAD", b"")):
        client = rig.connect()
        await client.send(
            f"{method} /healthz?deep=1 HTTP/1.1\r\nHost: localhost:1\r\nX-Case: Kept\r\n\r\n".encode()
        )
        response = await client.response(bodiless=method == "HEAD")
        assert response.status == 200
        assert response.body == body
        assert response.headers["content-length"] == "11"
        assert response.headers["content-type"] == "application/json"
        assert "connection" not in response.headers
        assert response.headers["cache-control"] == "no-store"
        await client.stream.aclose()
    assert await rig.wait_closed(2) == [("answered", 200)] * 2


@pytest.mark.parametrize("status", [204, 304, 299])
async def test_every_status_can_be_answered(
    nursery: trio.Nursery, autojump_clock: MockClock, status: int
) -> None:
    async def route(exchange: Exchange) -> None:
        exchange.respond(status, b"text")

    rig = Rig(nursery, routes={"/": route})
    answered, body = await rig.ask(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (answered, body) == (status, b"text" if status == 299 else b"")


async def test_the_rest_of_a_long_body_does_not_take_the_response_back(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery)
    client = rig.connect()
    await client.send(b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n")
    status, _ = await client.take_head()
    assert status == 426
    with pytest.raises(trio.BrokenResourceError):  # so much is drained, and no more
        await client.send(b"x" * 900_000)
    assert trio.current_time() < 1


async def test_who_never_reads_the_response_is_let_go_in_time(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def big(exchange: Exchange) -> None:
        exchange.respond(200, b"x" * 200_000)

    rig = Rig(nursery, Limits(head_timeout=10, close_timeout=1), routes={"/": big})
    client = rig.connect()
    await client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await rig.wait_closed()
    assert trio.current_time() == pytest.approx(10, abs=0.1)
    assert len(await client.rest()) == 65_536


async def test_the_101_goes_first_then_what_was_pipelined_behind_the_request(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery)
    client = rig.connect()
    await client.upgrade(behind=frame(9, b"early") + frame(TEXT, b"bird"))
    assert await client.frame() == (PONG, b"early")
    assert await client.frame() == (TEXT, b"bird")
    await client.send(close_frame(1000))
    await client.closing()


@pytest.mark.parametrize(
    ("behind", "code"),
    [
        pytest.param(upgrade_request(), 1002, id="second request"),
        pytest.param(frame(TEXT, b"\xff"), 1007, id="bad text"),
        pytest.param(frame(TEXT, b"naked", masked=False), 1002, id="unmasked"),
        pytest.param(close_frame(4000), 4000, id="close"),
    ],
)
async def test_bad_bytes_behind_the_request_close_with_their_code_after_the_101(
    nursery: trio.Nursery, autojump_clock: MockClock, behind: bytes, code: int
) -> None:
    rig = Rig(nursery)
    client = rig.connect()
    await client.upgrade(behind=behind)
    assert (await client.closing())[0] == code
    await rig.wait_closed()
    assert rig.listener.statistics().websockets == 0


async def test_a_known_subprotocol_is_agreed_on_and_none_is_needed(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery)
    assert (await rig.connect().upgrade("Sec-WebSocket-Protocol: chat, mcp"))[
        "sec-websocket-protocol"
    ] == "mcp"
    for offer in ((), ("Sec-WebSocket-Protocol: chat",)):
        headers = await rig.connect().upgrade(*offer)
        assert "sec-websocket-protocol" not in headers
        assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert "sec-websocket-extensions" not in headers


async def test_a_route_that_fails_costs_its_own_connection(
    nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def failing(exchange: Exchange) -> None:
        if exchange.wants_websocket:
            exchange.accept_websocket()
        raise RuntimeError("a bug")

    rig = Rig(nursery, routes={"/mcp": echo, "/bug": failing})
    assert await rig.ask(b"GET /bug HTTP/1.1\r\nHost: localhost\r\n\r\n") == (
        500,
        b"Internal server error.\n",
    )
    client = rig.connect()
    await client.send(upgrade_request(path="/bug"))
    await client.take_head()
    assert await client.closing() == (1011, "internal error")
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    await rig.still_serves()


async def test_a_route_that_leaves_its_websocket_open_closes_it_and_one_that_forgets_to_answer_is_500(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def leaving(exchange: Exchange) -> None:
        if exchange.wants_websocket:
            exchange.accept_websocket()

    rig = Rig(nursery, routes={"/mcp": leaving})
    client = rig.connect()
    await client.upgrade(behind=frame(TEXT, b"unread"))
    assert await client.frame() == (CLOSE, struct.pack("!H", 1000))
    await rig.wait_closed()  # without an answer, at the deadline
    assert trio.current_time() == pytest.approx(1, abs=0.1)
    assert rig.listener.statistics().websockets == 0
    assert (await rig.ask(b"GET /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n"))[0] == 500


async def test_a_request_is_answered_once(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async def route(exchange: Exchange) -> None:
        with pytest.raises(RuntimeError, match="not a WebSocket"):
            exchange.accept_websocket()
        with pytest.raises(ValueError, match="not a valid response"):
            exchange.respond(200, headers=[("X", "a\r\nInjected: b")])
        with pytest.raises(ValueError, match="not a valid response"):
            exchange.respond(200, headers=[("X", "€")])
        exchange.respond(200, b"fine")
        with pytest.raises(RuntimeError, match="answered already"):
            exchange.respond(200)

    rig = Rig(nursery, routes={"/": route})
    assert await rig.ask(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") == (200, b"fine")
