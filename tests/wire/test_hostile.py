"""What a hostile HTTP peer may do: it gets an error or the end, and a witness is served meanwhile and after."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from mcptrio.wire import EventKind, Exchange, Limits, raise_nofile_limit
from tests.wire.rig import Client, Rig, echo

LIMITS = Limits(
    head_bytes=4096,
    head_timeout=5,
    body_timeout=5,
    idle_timeout=20,
    max_message=10_000,
    stall_timeout=5,
    close_timeout=0.2,
)


async def say(exchange: Exchange) -> None:
    body = await exchange.read_body()
    exchange.respond(200, b"read " + str(len(body)).encode())


async def listen(exchange: Exchange) -> None:
    stream = exchange.open_stream(idle_chunk=b":\n\n")
    stream.push(b"data: hello\n\n")
    await exchange.wait_disconnected()


ROUTES = {"/mcp": echo, "/": say, "/listen": listen}


def post(*lines: str, body: bytes = b"", target: str = "/", host: str = "Host: localhost") -> bytes:
    return "\r\n".join([f"POST {target} HTTP/1.1", host, *lines, "", ""]).encode("latin-1") + body


GOOD = post("Content-Length: 2", body=b"ab")


class Witness:
    """A well-behaved client with one connection and one stream, who notices everything."""

    def __init__(self, connect: Callable[[], Awaitable[Client]]) -> None:
        self.connect = connect

    async def arrive(self) -> None:
        self.client = await self.connect()
        self.listening = await self.connect()
        await self.listening.send(b"GET /listen HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await self.listening.take_head())[0] == 200
        assert await self.listening.chunk() == b"data: hello\n\n"

    async def is_served(self) -> None:
        await self.client.send(GOOD)
        response = await self.client.response()
        assert (response.status, response.body) == (200, b"read 2")
        assert self.listening.received == b""


STATUSES: dict[str, tuple[bytes, list[int]]] = {
    # What is sent, and the statuses that it gets; behind the last one the connection ends.
    "a huge head": (post("X: " + "y" * 5000), [431]),
    "a body that is announced too big": (post("Content-Length: 10001"), [413]),
    "a body that is too big in chunks": (
        post(
            "Transfer-Encoding: chunked", body=b"fff\r\n" + b"x" * 4095 + b"\r\n" + b"fff0\r\n" + b"x" * 8000
        ),
        [413],
    ),
    "a body that is badly chunked": (post("Transfer-Encoding: chunked", body=b"zz\r\n"), [400]),
    "a chunk longer than it says": (post("Transfer-Encoding: chunked", body=b"1\r\nabc\r\n"), [400]),
    "two lengths": (post("Content-Length: 1", "Content-Length: 2", body=b"ab"), [400]),
    "the same length twice": (post("Content-Length: 2", "Content-Length: 2", body=b"ab"), [400]),
    "a list of lengths": (post("Content-Length: 2, 3", body=b"ab"), [400]),
    "a length with a sign": (post("Content-Length: +2", body=b"ab"), [400]),
    "a length that is no number": (post("Content-Length: two", body=b"ab"), [400]),
    "a length and chunks": (
        post("Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n" + GOOD),
        [400],
    ),
    "chunks and a length": (
        post("Transfer-Encoding: chunked", "Content-Length: 5", body=b"0\r\n\r\n" + GOOD),
        [400],
    ),
    "chunks in HTTP/1.0": (
        post("Transfer-Encoding: chunked", body=b"0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"),
        [400],
    ),
    "chunks twice": (post("Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"), [501]),
    "an unknown encoding": (post("Transfer-Encoding: gzip", body=b"0\r\n\r\n"), [501]),
    "a folded field": (post("X: a", " b", "Content-Length: 0"), [400]),
    "a folded length": (post("Content-Length:", " 2", body=b"ab"), [400]),
    "bare line feeds": (GOOD.replace(b"\r\n", b"\n"), [400]),
    "one bare line feed": (post("X: y\nContent-Length: 2", body=b"ab"), [400]),
    "a space before the colon": (post("Content-Length : 2", body=b"ab"), [400]),
    "NUL in a field": (post("X: a\0b"), [400]),
    "a bad host": (post(host="Host: evil.example"), [403]),
    "a bad origin": (post("Origin: https://evil.example"), [403]),
    "no host": (post(host="X: y"), [400]),
    "pipelined garbage": (GOOD + GOOD + b"\x00garbage\r\n\r\n" + GOOD, [200, 200, 400]),
    "a body that is really two requests": (
        post("Content-Length: 2", body=b"abGET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        [200, 404],
    ),
    "a hundred pipelined requests and a bad one": (GOOD * 100 + b"?\r\n\r\n", [200] * 100 + [400]),
    "100-continue with nothing behind it": (
        post("Expect: 100-continue", "Content-Length: 2"),
        [100, 408],
    ),
    "100-continue with too much announced": (
        post("Expect: 100-continue", "Content-Length: 99999"),
        [413],
    ),
    "100-continue on nowhere": (
        post("Expect: 100-continue", "Content-Length: 2", target="/nowhere"),
        [404],
    ),
    "another expectation": (
        post("Expect: the-worst", "Content-Length: 2", body=b"ab") + b"?\r\n\r\n",
        [200, 400],
    ),
    "half a head": (b"POST / HT", [408]),
    "half a body": (post("Content-Length: 10", body=b"half"), [408]),
    "half a chunk": (post("Transfer-Encoding: chunked", body=b"a\r\nhalf"), [408]),
}


@pytest.mark.parametrize(("sent", "statuses"), STATUSES.values(), ids=STATUSES.keys())
async def test_a_hostile_peer_gets_its_statuses_and_the_end(
    nursery: trio.Nursery, autojump_clock: MockClock, sent: bytes, statuses: list[int]
) -> None:
    rig = Rig(nursery, LIMITS, routes=ROUTES)

    async def connect() -> Client:
        return rig.connect()

    witness = Witness(connect)
    await witness.arrive()
    client = rig.connect()
    with suppress(trio.BrokenResourceError):
        await client.send(sent)
    await witness.is_served()
    for status in statuses[:-1]:
        if status == 100:
            assert await client.take_head() == (100, {})
        else:
            assert (await client.response()).status == status
    response = await client.response()
    assert (response.status, response.headers["connection"]) == (statuses[-1], "close")
    await client.stream.aclose()
    assert (await rig.wait_closed())[0][1] == statuses[-1]
    assert [code for _, code in rig.told(EventKind.REFUSED)] == [statuses[-1]]
    await witness.is_served()
    assert rig.listener.statistics().open == 2
    assert (
        rig.listener.sweeper.statistics().watched == 2
    )  # the witness' stream, and the other connection when idle


async def test_a_head_and_a_body_that_dribble_end_in_time(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery, LIMITS, routes=ROUTES)
    slow_head, slow_body = rig.connect(), rig.connect()

    async def dribble(client: Client, data: bytes) -> None:
        with suppress(trio.BrokenResourceError):
            for byte in data:
                await client.send(bytes([byte]))
                await trio.sleep(0.5)

    await slow_body.send(post("Content-Length: 5000"))
    nursery.start_soon(dribble, slow_head, GOOD * 5)
    nursery.start_soon(dribble, slow_body, b"x" * 5000)
    assert (await slow_head.response()).status == 408
    assert (await slow_body.response()).status == 408
    assert trio.current_time() == pytest.approx(5, abs=1)


async def test_a_thousand_idle_connections_cost_nobody_anything_and_go_in_time(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery, LIMITS, routes=ROUTES)

    async def connect() -> Client:
        return rig.connect()

    witness = Witness(connect)
    await witness.arrive()
    silent = [rig.connect() for _ in range(500)]
    served = [rig.connect() for _ in range(500)]
    for client in served:
        await client.send(GOOD)
    await witness.is_served()
    for client in served:
        assert (await client.response()).status == 200
    assert rig.listener.statistics().open == 1002
    started = trio.current_time()
    for client in silent:
        assert await client.rest() == b""
    assert trio.current_time() - started <= LIMITS.head_timeout + 0.1
    await witness.is_served()
    await trio.sleep(LIMITS.idle_timeout - 5)  # the witness is not idle for long
    await witness.is_served()
    for client in served:
        assert await client.rest() == b""
    assert trio.current_time() - started <= LIMITS.idle_timeout + 2
    witness.listening.received = b""  # comments came meanwhile
    await witness.is_served()
    closed = await rig.wait_closed(1000)
    assert closed.count(("no request", None)) == 500
    assert closed.count(("idle", 200)) == 500


async def test_a_thousand_idle_connections_on_real_sockets_are_let_go_when_the_listener_closes(
    nursery: trio.Nursery,
) -> None:
    if raise_nofile_limit() < 4096:
        pytest.skip("too few descriptors for two thousand sockets")
    rig = Rig(nursery, Limits(), routes=ROUTES)
    port = await rig.listen()

    async def connect() -> Client:
        return await rig.dial(port)

    witness = Witness(connect)
    await witness.arrive()
    clients = [Client(await trio.open_tcp_stream("127.0.0.1", port)) for _ in range(1000)]
    for client in clients[::2]:
        await client.send(GOOD)
    for client in clients[::2]:
        assert (await client.response()).status == 200
    await witness.is_served()
    rig.listener.closing()
    for client in clients:
        assert await client.rest() == b""
        await client.stream.aclose()
    await rig.wait_closed(1000)
    await witness.listening.stream.aclose()
    await rig.wait_closed(1002)  # the witness' other connection was idle, too
    assert rig.listener.statistics().open == 0
    assert rig.listener.sweeper.statistics().watched == 0


async def test_two_thousand_refused_requests_leave_nothing(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery, LIMITS, routes=ROUTES)
    sent = [data for data, statuses in STATUSES.values() if len(statuses) == 1 and statuses != [408]]
    for number in range(2000):
        client = rig.connect()
        with suppress(trio.BrokenResourceError):
            await client.send(sent[number % len(sent)])
        assert (await client.response()).status >= 400
        await client.stream.aclose()
    await rig.wait_closed(2000)
    assert rig.listener.statistics().open == 0
    assert rig.listener.sweeper.statistics().watched == 0
    assert len(rig.listener._conversations) == 0
    await trio.testing.wait_all_tasks_blocked()
    assert len(nursery.child_tasks) <= 2
