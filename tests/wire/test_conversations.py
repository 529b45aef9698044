"""Random conversations: whatever is asked in whatever pieces, each request gets its own answer, in order."""

from contextlib import suppress
from dataclasses import dataclass

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from mcptrio.wire import EventKind, Exchange, Limits, Refused
from tests.wire.rig import Rig, echo


@dataclass(frozen=True)
class Ask:
    """A request, and what it is to be answered: `sure` says whether the connection must go on, or must end."""

    sent: bytes
    status: int
    body: bytes
    goes_on: bool


def ask(path: str, *lines: str, body: bytes = b"", version: str = "1.1") -> bytes:
    return "\r\n".join([f"POST {path} HTTP/{version}", "Host: localhost", *lines, "", ""]).encode() + body


def framed(path: str, body: bytes, chunks: int, *lines: str) -> bytes:
    """With a length, or in so many chunks."""
    if not chunks:
        return ask(path, f"Content-Length: {len(body)}", *lines, body=body)
    size = max(1, len(body) // chunks)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    coded = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return ask(path, "Transfer-Encoding: chunked", *lines, body=coded + b"0\r\n\r\n")


bodies = st.binary(max_size=200)
chunks = st.integers(0, 4)
asks = st.one_of(
    st.builds(lambda b, c: Ask(framed("/say", b, c), 200, b, True), bodies, chunks),
    st.builds(lambda b, c: Ask(framed("/stream", b, c), 200, b, True), bodies, chunks),
    st.builds(lambda b, c: Ask(framed("/say", b, c, "Connection: close"), 200, b, False), bodies, chunks),
    st.builds(lambda b, c: Ask(framed("/stream", b, c, "Connection: close"), 200, b, False), bodies, chunks),
    st.builds(lambda b: Ask(framed("/refuse", b, 0), 429, b"slower", False), bodies),
    st.builds(lambda b: Ask(framed("/nowhere", b, 0), 404, b"Not found.\n", False), bodies),
    st.builds(lambda b: Ask(framed("/fail", b, 0), 500, b"Internal server error.\n", True), bodies),
    st.just(Ask(ask("/say", version="1.0"), 200, b"", False)),
    st.just(Ask(b"nonsense\r\n\r\n", 400, b"Bad request: this is no valid HTTP/1.1 request head.\n", False)),
)


async def say(exchange: Exchange) -> None:
    exchange.respond(200, await exchange.read_body())


async def stream(exchange: Exchange) -> None:
    body = await exchange.read_body()
    stream = exchange.open_stream()
    for byte in body[:-1]:
        stream.push(bytes([byte]))
    stream.finish(body[-1:])


async def refuse(exchange: Exchange) -> None:
    raise Refused(429, "too_fast", "slower")


async def fail(exchange: Exchange) -> None:
    await exchange.read_body()


ROUTES = {"/say": say, "/stream": stream, "/refuse": refuse, "/fail": fail, "/mcp": echo}


@settings(max_examples=80)
@given(
    st.lists(asks, min_size=1, max_size=6), st.lists(st.integers(1, 300), max_size=12), st.integers(50, 5000)
)
def test_each_request_gets_its_own_answer_in_order(
    program: list[Ask], cuts: list[int], capacity: int
) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            rig = Rig(nursery, Limits(), routes=ROUTES)
            client = rig.connect(capacity)

            async def send() -> None:
                rest = b"".join(one.sent for one in program)
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    for cut in cuts:
                        piece, rest = rest[:cut], rest[cut:]
                        await client.send(piece)
                        await trio.testing.wait_all_tasks_blocked()
                    await client.send(rest)

            nursery.start_soon(send)
            expected_requests = 0
            for one in program:
                response = await client.response()
                assert (response.status, response.body) == (one.status, one.body)
                assert (response.headers.get("connection") != "close") is one.goes_on
                expected_requests += one.status in (200, 500)
                if not one.goes_on:
                    break
            else:
                await client.stream.send_eof()
                assert await client.rest() == b""
            await client.stream.aclose()
            await rig.wait_closed()
            assert rig.listener.statistics().requests == expected_requests
            assert len(rig.told(EventKind.REFUSED)) == (one.status in (400, 404, 429))
            assert rig.listener.sweeper.statistics().watched == 0
            assert not rig.listener._conversations
            await rig.still_serves()
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))
