"""Servers that refuse, stall, flood or speak nonsense: each becomes words, in bounded time and space."""

from __future__ import annotations

import ssl
from functools import partial
from random import Random

import pytest
import trio
import trio.testing
import trustme

from mcptrio.live import Feed, SourceState
from mcptrio.sources.websocket import Receiver
from mcptrio.sources.websocket import stream as guard
from mcptrio.wire.dial import dial
from tests.sources.websocket.service import (
    SHOWN,
    Bench,
    Serve,
    WebSocket,
    accepting,
    answering,
    event,
    frame,
    made,
    talking,
)

MockClock = trio.testing.MockClock
DEGRADED, FAILED, LIVE = SourceState.DEGRADED, SourceState.FAILED, SourceState.LIVE


def refusal(status: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (refusal("401 No", "Content-Length: 0"), FAILED, "answered 401 Unauthorized (see `headers`)"),
        (refusal("403 No", "Content-Length: 2", body=b"no"), FAILED, "answered 403 Forbidden (see `headers`)"),
        (refusal("404 No", "Content-Length: 9999"), FAILED, "answered 404 Not Found (see `url`)"),
        (
            refusal("302 No", "Location: /new?key=hush"),
            FAILED,
            "answered 302 Found (redirects are not followed (to wss://service.test/new?...): see `url`)",
        ),
        (refusal("301 No"), FAILED, "answered 301 Moved Permanently (redirects are not followed: see `url`)"),
        (refusal("301 No", "Location: http://[", ""), FAILED, "301 Moved Permanently (redirects are not followed: "),
        (refusal("200 OK", "Transfer-Encoding: chunked"), FAILED, "answered 200 OK (is it the URL of a WebSocket?)"),
        (refusal("100 Continue"), FAILED, "answered 100 Continue"),
        (refusal("799 Odd"), DEGRADED, "answered 799"),
        (refusal("429 No"), DEGRADED, "answered 429 Too Many Requests"),
        (refusal("503 No"), DEGRADED, "answered 503 Service Unavailable"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", FAILED, "does not speak HTTP/1.1"),
        (b"HTTP/2.0 200 OK\r\n\r\n", FAILED, "does not speak HTTP/1.1"),
        (b"\x15\x03\x01\x00\x02\x02\x28", FAILED, "does not speak HTTP/1.1"),
        (b"HTTP/1.1 101 x\r\nA: " + b"a" * 20_000, DEGRADED, "answered with more than 16384 bytes of headers"),
        (b"HTTP/1.1 101 x\r\n\r\n", FAILED, "answered 101, but not as a WebSocket has to (RFC 6455)"),
        (
            refusal("101 x", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: wrong"),
            FAILED,
            "answered 101, but not as a WebSocket has to (RFC 6455)",
        ),
        (b"HTTP/1.1 101 x\r\n\x00bad\r\n\r\n", FAILED, "answered 101, but not as a WebSocket has to (RFC 6455)"),
    ],
)  # fmt: skip
async def test_an_answer_that_is_no_websocket_is_said_at_once(
    answer: bytes, state: SourceState, words: str, autojump_clock: MockClock
) -> None:
    bench = Bench(answering(answer, then=10_000))
    await bench.run(0.001)
    [(found, why)] = bench.states
    assert found is state
    assert words in why
    assert why.startswith(SHOWN)
    assert "hush" not in why
    bench.service.serve = talking(_quiet)
    await bench.run(100)
    assert bench.states[-1][0] is LIVE, "it goes on trying"


async def _quiet(ws: WebSocket) -> None:
    await trio.sleep_forever()


async def test_a_server_that_asks_to_be_left_alone_is_within_bounds(autojump_clock: MockClock) -> None:
    bench = Bench(answering(refusal("429 No", "Retry-After: 77"), then=1))
    await bench.run(78)
    assert 77 <= bench.service.times[1] - bench.service.times[0] <= 78
    bench = Bench(answering(refusal("503 No", "Retry-After: 99999999"), then=1))
    await bench.run(3700)
    assert 3600 <= bench.service.times[1] - bench.service.times[0] <= 3601


@pytest.mark.parametrize(
    "serve",
    [
        answering(then=10_000),
        answering(*[b"H", b"T", b"T", b"P"], gap=2.4, then=10_000),
        answering(*[b"HTTP/1.1 101 x\r\n"], *[b"A: b\r\n"] * 1000, gap=1),
    ],
)
async def test_a_server_that_never_finishes_its_answer_is_left(
    serve: Serve, autojump_clock: MockClock
) -> None:
    bench = Bench(serve)
    await bench.run(10.1)
    assert bench.states == [(DEGRADED, f"{SHOWN} was not connected within 10 s")]


async def test_a_server_that_takes_no_first_messages_is_left(autojump_clock: MockClock) -> None:
    bench = Bench(accepting(then=10_000), first=["x" * 100])
    near, far = trio.testing.lockstep_stream_pair()

    async def connect() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return near

    async def serve() -> None:
        await accepting()(far)

    bench.receiver = Receiver(bench.settings, connect=connect, random=Random(1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        await bench.run(10.1)
        nursery.cancel_scope.cancel()
    assert bench.states == [(DEGRADED, f"{SHOWN} was not connected within 10 s")]


async def test_a_server_that_takes_no_pongs_is_left(autojump_clock: MockClock) -> None:
    near, far = trio.testing.lockstep_stream_pair()
    closed = trio.Event()

    async def connect() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return near

    async def serve() -> None:
        await accepting(frame(b"", opcode=9))(far)
        await trio.sleep(100)
        with pytest.raises(trio.BrokenResourceError):
            await far.send_all(b"x")
        closed.set()

    bench = Bench(accepting())
    bench.receiver = Receiver(bench.settings, connect=connect, random=Random(1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        nursery.start_soon(bench.run, 10.001)
        await closed.wait()
        nursery.cancel_scope.cancel()
    assert bench.states == [(LIVE, ""), (DEGRADED, f"{SHOWN} took nothing for 10 s")]


@pytest.mark.parametrize("pieces", [(), (b"HTTP/1.1 101",)])
async def test_a_server_that_hangs_up_at_once_is_said(
    pieces: tuple[bytes, ...], autojump_clock: MockClock
) -> None:
    bench = Bench(answering(*pieces))
    await bench.run(0.001)
    assert bench.states == [(DEGRADED, f"{SHOWN} hung up before the WebSocket was open")]


async def test_silence_is_found_by_a_ping(autojump_clock: MockClock) -> None:
    bench = Bench(accepting(frame(event(1).encode()), then=10_000))
    await bench.run(40.1)
    assert bench.states[0] == (LIVE, "")
    assert bench.states[1] == (
        DEGRADED,
        f"{SHOWN} sent nothing for 10 s after a ping: the connection is dead",
    )
    assert bench.reported() == [("created", "chat://town/last")]


async def test_a_server_that_answers_pings_is_kept(autojump_clock: MockClock) -> None:
    bench = Bench(talking(_quiet))
    await bench.run(10_000)
    assert len(bench.service.times) == 1
    assert bench.states == [(LIVE, "")]


async def test_a_server_that_sends_but_answers_no_pings_is_kept(autojump_clock: MockClock) -> None:
    bench = Bench(accepting(forever=frame(event(1).encode()), gap=3))
    await bench.run(1000)
    assert len(bench.service.times) == 1
    assert bench.states == [(LIVE, "")]


async def test_a_hub_that_is_slow_makes_no_connection_dead(autojump_clock: MockClock) -> None:
    async def talk(ws: WebSocket) -> None:
        for number in range(3):
            await ws.send_message(event(number, f"c{number}"))
        await _quiet(ws)

    bench = Bench(talking(talk), capacity=0)
    async with trio.open_nursery() as nursery:
        await nursery.start(bench.service.run)
        nursery.start_soon(bench.receiver.run, bench.feed)
        for number in range(3):
            await trio.sleep(1000)
            assert (await bench.receive.receive()).uri == f"chat://c{number}/last"
        assert len(bench.service.times) == 1
        nursery.cancel_scope.cancel()


HUGE = b"\x81\x7f" + (1 << 40).to_bytes(8, "big")


@pytest.mark.parametrize(
    ("serve", "state", "words"),
    [
        (
            accepting(HUGE, forever=b"x" * 60_000),
            FAILED,
            "sent a message of more than 100000 characters (see `max_size`)",
        ),
        (
            accepting(frame(b"a", fin=False), forever=frame(b"aaaa", opcode=0, fin=False) * 1000),
            FAILED,
            "sent a message of more than 100000 characters (see `max_size`)",
        ),
        (
            accepting(frame(b"a", fin=False), forever=frame(b"", opcode=0, fin=False) * 1000),
            DEGRADED,
            "sent a message of more than 65536 frames",
        ),
        (accepting(frame(b"\xff\xfe")), FAILED, "closed the connection with 1007 (invalid data)"),
        (accepting(b"\x83\x00", then=99), FAILED, "closed the connection with 1002 (protocol error)"),
        (accepting(b"\xc1\x00", then=99), FAILED, "closed the connection with 1002 (protocol error)"),
        (accepting(b"\x81\x81\x00\x00\x00\x00a", then=99), FAILED, "1002 (protocol error)"),
        (accepting(b"\x80\x01a", then=99), FAILED, "1002 (protocol error)"),
        (accepting(b"\x88\x01\x03", then=99), FAILED, "1002 (protocol error)"),
        (accepting(b"\x88\x00", then=99), DEGRADED, "closed the connection with 1005 (no code given)"),
        (accepting(b"\x88\x04\x03\xf0no", then=99), FAILED, "closed the connection with 1008 (policy violation): no"),
        (accepting(b"\x88\x05\x0f\xa1\x1b[m", then=99), DEGRADED, "closed the connection with 4001: ?[m"),
        (accepting(b"\x81"), DEGRADED, "the connection broke"),
        (accepting(), DEGRADED, "the connection broke"),
    ],
)  # fmt: skip
async def test_what_breaks_the_protocol_or_a_bound_ends_the_connection_in_words(
    serve: Serve, state: SourceState, words: str, autojump_clock: MockClock
) -> None:
    bench = Bench(serve, max_size=100_000)
    await bench.run(0.001)
    assert bench.states[0] == (LIVE, "")
    found, why = bench.states[1]
    assert words in why
    assert found is state
    bench.service.serve = talking(_quiet)
    await bench.run(100)
    assert bench.states[-1][0] is LIVE


async def test_what_came_before_a_message_that_is_too_large_is_not_lost(autojump_clock: MockClock) -> None:
    whole = b"".join(frame(event(number, f"c{number}").encode()) for number in range(20))
    bench = Bench(accepting(whole + frame(b"x" * 200_000), then=1), max_size=100_000)
    await bench.run(0.5)
    assert bench.reported() == [("created", f"chat://c{number}/last") for number in range(20)]
    assert bench.states[-1][0] is FAILED


async def test_a_flood_of_pings_does_not_stop_the_events(autojump_clock: MockClock) -> None:
    flood = frame(b"x" * 125, opcode=9) * 200
    bench = Bench(accepting(flood + frame(event(1).encode()) + flood, frame(event(2).encode()), then=99))
    await bench.run(1)
    assert bench.reported() == [("created", "chat://town/last"), ("updated", "chat://town/last")]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
async def test_frames_are_counted_rightly_however_they_are_cut(
    size: int, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(guard, "MAX_FRAGMENTS", 3)
    text = event(1, text="x" * 200).encode()
    parts = [frame(text[:9], fin=False), frame(b"", opcode=9), frame(text[9:150], opcode=0, fin=False)]
    message = b"".join([*parts, frame(b"", opcode=0, fin=False), frame(text[150:], opcode=0)])
    many = message * 3
    pieces = [many[at : at + size] for at in range(0, len(many), size)]
    bench = Bench(accepting(*pieces, then=99))
    await bench.run(1)
    assert bench.states == [(LIVE, "")]
    assert bench.receiver.counts().repeated == 2


async def test_a_certificate_that_is_not_trusted_is_for_somebody_to_repair() -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            await talking(_hello)(stream)
        except (trio.BrokenResourceError, OSError):
            pass

    async def _hello(ws: WebSocket) -> None:
        await ws.send_message(event(1))
        await trio.sleep_forever()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            [listener] = await nursery.start(
                partial(trio.serve_ssl_over_tcp, serve, 0, context, host="127.0.0.1")
            )
            port = listener.transport_listener.socket.getsockname()[1]
            settings = made(url=f"wss://localhost:{port}/")
            send, receive = trio.open_memory_channel[object](10)
            feed = Feed("chat", send)
            stopped = trio.CancelScope()

            async def run(receiver: Receiver) -> None:
                with stopped:
                    await receiver.run(feed)

            nursery.start_soon(run, Receiver(settings))
            await feed.wait_started()
            assert feed.state is FAILED
            assert "certificate is not trusted by this machine" in feed.reason
            stopped.cancel()
            stopped = trio.CancelScope()
            connect = partial(dial, settings.endpoint(), timeout=10, tls=trusting)
            nursery.start_soon(run, Receiver(settings, connect=connect))
            await receive.receive()
            assert feed.state is LIVE
            nursery.cancel_scope.cancel()
