"""Any bytes for a request head: every peer gets its answer, and nobody else notices."""

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from mcptrio.wire import (
    EventKind,
    Limits,
)
from tests.wire.rig import Rig, frame, upgrade_request


@pytest.mark.parametrize(
    ("request_", "status", "reason"),
    [
        pytest.param(b"hello\r\n\r\n", 400, "bad_request", id="not http"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "bad_request", id="tls hello"),
        pytest.param(b"\x00" * 100, 400, "bad_request", id="zeros"),
        pytest.param(b"GET /mcp HTTP/1.1\r\n\r\n", 400, "bad_request", id="no host"),
        pytest.param(b"GET /mcp HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "bad_request", id="two hosts"),
        pytest.param(b"GET mcp HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "bad_request", id="no path"),
        pytest.param(
            b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "bad_request", id="bad target"
        ),
        pytest.param(b"GET /mcp HTTP/1.1\r\nHost: \xff\r\n\r\n", 400, "bad_request", id="host not ascii"),
        pytest.param(
            upgrade_request("Sec-WebSocket-Protocol: m\xfcp"), 400, "bad_request", id="protocol not ascii"
        ),
        pytest.param(
            upgrade_request("Sec-WebSocket-Extensions: \xff"), 400, "bad_request", id="extensions not ascii"
        ),
        pytest.param(upgrade_request("Sec-WebSocket-Protocol: a b"), 400, "bad_handshake", id="bad protocol"),
        pytest.param(upgrade_request(drop="Sec-WebSocket-Key"), 400, "bad_handshake", id="no key"),
        pytest.param(
            upgrade_request("Sec-WebSocket-Key: aaaa", drop="Sec-WebSocket-Key"),
            400,
            "bad_handshake",
            id="short key",
        ),
        pytest.param(upgrade_request("Sec-WebSocket-Key: aaaa"), 400, "bad_handshake", id="two keys"),
        pytest.param(upgrade_request(drop="Sec-WebSocket-Version"), 400, "bad_handshake", id="no version"),
        pytest.param(upgrade_request(drop="Connection"), 426, "bad_handshake", id="no connection upgrade"),
        pytest.param(
            upgrade_request("Sec-WebSocket-Version: 8", drop="Sec-WebSocket-Version"),
            426,
            "bad_handshake",
            id="old version",
        ),
        pytest.param(upgrade_request().replace(b"GET", b"POST"), 405, "bad_handshake", id="upgrade by post"),
        pytest.param(upgrade_request("X: " + "y" * 20_000), 431, "head_too_big", id="huge head"),
        pytest.param(b"GET /" + b"a" * 70_000, 431, "head_too_big", id="endless request line"),
        pytest.param(upgrade_request("Transfer-Encoding: gzip"), 501, "bad_request", id="transfer encoding"),
        pytest.param(upgrade_request(path="/nowhere"), 404, "not_found", id="unknown path"),
        pytest.param(upgrade_request(host="evil.example"), 403, "host", id="rebound host"),
        pytest.param(upgrade_request("Origin: https://evil.example"), 403, "origin", id="foreign origin"),
        pytest.param(
            b"GET http://evil.example/mcp HTTP/1.1\r\nHost: localhost\r\n\r\n",
            403,
            "host",
            id="host in the target",
        ),
        pytest.param(b"GET /mcp HTTP/1.0\r\n\r\n", 403, "host", id="no host at all"),
        pytest.param(
            upgrade_request("Content-Length: 5") + b"hello", 400, "bad_handshake", id="upgrade with a body"
        ),
    ],
)
async def test_a_bad_request_is_answered_and_nobody_else_notices(
    nursery: trio.Nursery, autojump_clock: MockClock, request_: bytes, status: int, reason: str
) -> None:
    rig = Rig(nursery)
    assert (await rig.ask(request_))[0] == status
    assert rig.told(EventKind.REFUSED) == [(reason, status)]
    assert await rig.wait_closed() == [(reason, status)]
    await rig.still_serves()


async def test_a_refused_handshake_names_what_would_do(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery)
    client = rig.connect()
    await client.send(upgrade_request("Sec-WebSocket-Version: 8", drop="Sec-WebSocket-Version"))
    assert (await client.response()).headers["sec-websocket-version"] == "13"
    client = rig.connect()
    await client.send(upgrade_request().replace(b"GET", b"PUT"))
    assert (await client.response()).headers["allow"] == "GET"


async def test_a_head_of_exactly_the_limit_is_read_and_one_byte_more_is_not(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery, Limits(head_bytes=1000))
    request = upgrade_request("X: " + "y" * (1000 - len(upgrade_request("X: "))))
    assert len(request) == 1000
    client = rig.connect()
    await client.send(request)
    assert (await client.take_head())[0] == 101
    assert (await rig.ask(request.replace(b"X: ", b"X: y")))[0] == 431


async def test_a_head_that_dribbles_on_is_answered_408_in_time(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery, Limits(head_timeout=10))
    client = rig.connect()
    started = trio.current_time()

    async def dribble() -> None:
        for byte in upgrade_request():
            try:
                await client.send(bytes([byte]))
            except trio.BrokenResourceError:
                return
            await trio.sleep(1)

    nursery.start_soon(dribble)
    status, _ = await client.take_head()
    assert status == 408
    assert trio.current_time() - started == pytest.approx(10)
    assert (await rig.wait_closed())[0] == ("head_timeout", 408)


async def test_who_says_nothing_is_let_go_without_a_word(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery, Limits(head_timeout=10))
    client = rig.connect()
    assert await client.rest() == b""
    assert await rig.wait_closed() == [("no request", None)]
    client = rig.connect()
    await client.stream.aclose()
    assert await rig.wait_closed(2) == [("no request", None)] * 2


async def test_a_request_that_breaks_off_is_a_bad_request(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery)
    client = rig.connect()
    await client.send(b"GET /mcp HT")
    await client.stream.send_eof()
    assert (await client.response()).status == 400


async def test_an_absolute_target_and_http_1_0_are_understood(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery)
    assert await rig.ask(b"GET http://127.0.0.1:80/mcp?x HTTP/1.1\r\nHost: localhost\r\n\r\n") == (
        426,
        b"use ws\n",
    )
    # HTTP/1.0 knows no upgrade: to the route it is a plain request.
    assert (await rig.ask(upgrade_request().replace(b"HTTP/1.1", b"HTTP/1.0")))[0] == 426
    # Nor is another protocol than WebSocket one of ours.
    assert (await rig.ask(upgrade_request("Upgrade: h2c", drop="Upgrade")))[0] == 426


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from([b"\r\n", b"GET / HTTP/1.1\r\n", b"Host: localhost\r\n", b": ", b"\r\n\r\n"]),
            st.sampled_from([upgrade_request(), upgrade_request("Sec-WebSocket-Protocol: \x80")]),
            st.builds(
                frame, st.integers(0, 15), st.binary(max_size=130), fin=st.booleans(), rsv=st.integers(0, 7)
            ),
        ),
        max_size=8,
    )
)
def test_any_bytes_end_in_an_answer_or_the_end(pieces: list[bytes]) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            rig = Rig(nursery)
            client = rig.connect()
            nursery.start_soon(client.rest)
            for piece in pieces:
                try:
                    await client.send(piece)
                except trio.BrokenResourceError:
                    break
            await client.stream.send_eof()
            with trio.fail_after(30):
                await rig.wait_closed()
                assert rig.events[-1].reason != "internal error"
                await rig.still_serves()
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))
