"""A connection serves one request after the other, for as long as both sides want it to."""

from itertools import pairwise

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from mcptrio.wire import EventKind, Exchange, Limits, Refused
from mcptrio.wire.conversation import Conversation
from tests.wire.rig import TEXT, Client, Rig, close_frame, echo, frame, upgrade_request


async def say(exchange: Exchange) -> None:
    """Say what was asked for, after reading what was sent."""
    body = await exchange.read_body()
    exchange.respond(200, exchange.query.encode() + body)


async def careless(exchange: Exchange) -> None:
    """Answer without a look at the body."""
    exchange.respond(200, b"whatever")


ROUTES = {"/mcp": echo, "/": say, "/careless": careless}


def ask(path: str, *lines: str, body: bytes = b"", version: str = "1.1", method: str = "GET") -> bytes:
    head = "\r\n".join([f"{method} {path} HTTP/{version}", "Host: localhost", *lines, "", ""])
    return head.encode() + body


def post(path: str, body: bytes, *lines: str) -> bytes:
    return ask(path, f"Content-Length: {len(body)}", *lines, body=body, method="POST")


async def test_a_connection_serves_one_request_after_the_other(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery, routes=ROUTES)
    client = rig.connect()
    for number in range(5):
        response = await client.get(f"/?{number}")
        assert (response.status, response.body) == (200, str(number).encode())
        assert "connection" not in response.headers
        await client.send(post("/?a", b"b" * number))
        assert (await client.response()).body == b"a" + b"b" * number
        await client.send(
            ask("/", "Transfer-Encoding: chunked", method="POST", body=b"2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n")
        )
        assert (await client.response()).body == b"abc"
    statistics = rig.listener.statistics()
    assert (statistics.accepted, statistics.open, statistics.requests) == (1, 1, 15)
    await client.stream.aclose()
    assert await rig.wait_closed() == [("answered", 200)]


async def test_pipelined_requests_are_answered_in_order(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery, routes=ROUTES)
    client = rig.connect()
    await client.send(b"".join(post(f"/?{number}", b"!") for number in range(200)))
    for number in range(200):
        assert (await client.response()).body == f"{number}!".encode()
    await client.stream.send_eof()
    assert await client.rest() == b""


async def test_pipelined_requests_keep_nobody_waiting(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    steps: list[int] = []

    async def step() -> None:
        while True:
            steps.append(rig.listener.statistics().requests)
            await trio.lowlevel.checkpoint()

    rig = Rig(nursery, routes=ROUTES)
    client = rig.connect(capacity=1_000_000)
    nursery.start_soon(step)
    await client.send(ask("/careless") * 90)
    for _ in range(90):
        await client.response()
    assert {later - earlier for earlier, later in pairwise(steps)} <= {0, 1, 2}


async def test_requests_that_come_byte_by_byte_are_the_same_requests(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery, routes=ROUTES)
    client = rig.connect()
    for byte in post("/?a", b"b") + ask("/?c"):
        await client.send(bytes([byte]))
        await trio.testing.wait_all_tasks_blocked()
    assert (await client.response()).body == b"ab"
    assert (await client.response()).body == b"c"


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(ask("/", "Connection: close"), id="the client says so"),
        pytest.param(ask("/", "Connection: keep-alive, Close"), id="among other words"),
        pytest.param(ask("/", version="1.0"), id="HTTP 1.0"),
        pytest.param(ask("/", "Connection: keep-alive", version="1.0"), id="HTTP 1.0 that asks for more"),
        pytest.param(ask("/careless", "Content-Length: 9", method="POST"), id="body not read"),
        pytest.param(
            ask("/careless", "Transfer-Encoding: chunked", method="POST", body=b"5\r\nhel"),
            id="chunks not read",
        ),
        pytest.param(
            ask("/careless", "Transfer-Encoding: chunked", method="POST", body=b"nonsense\r\n"),
            id="bad chunks not read",
        ),
        pytest.param(
            ask("/careless", "Expect: 100-continue", "Content-Length: 9", method="POST"),
            id="body not asked for",
        ),
        pytest.param(
            ask("/careless", "Expect: 100-continue", "Content-Length: 1", method="POST", body=b"x"),
            id="body not waited with",
        ),
    ],
)
async def test_a_connection_that_cannot_serve_another_request_says_so_and_ends(
    nursery: trio.Nursery, autojump_clock: MockClock, request_: bytes
) -> None:
    rig = Rig(nursery, routes=ROUTES)
    client = rig.connect()
    await client.send(request_)
    response = await client.response()
    assert response.status == 200
    assert response.headers["connection"] == "close"
    await client.stream.aclose()
    assert await rig.wait_closed() == [("answered", 200)]


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(post("/careless", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), id="counted"),
        pytest.param(
            ask("/careless", "Transfer-Encoding: chunked", method="POST", body=b"2\r\nab\r\n0\r\n\r\n"),
            id="chunked",
        ),
    ],
)
async def test_a_body_that_nobody_read_but_is_there_is_dropped_and_the_connection_goes_on(
    nursery: trio.Nursery, autojump_clock: MockClock, request_: bytes
) -> None:
    rig = Rig(nursery, routes=ROUTES)
    client = rig.connect()
    await client.send(request_ + ask("/?next"))
    assert (await client.response()).body == b"whatever"
    assert (await client.response()).body == b"next"
    # It may have come behind the head, too, and not be read yet.
    head, _, body = request_.partition(b"\r\n\r\n")
    head += b"\r\n\r\n"

    async def late(exchange: Exchange) -> None:
        await client.send(body)
        exchange.respond(200, b"late")

    rig.listener._site.routes["/careless"] = late  # type: ignore[index]
    await client.send(head)
    assert (await client.response()).body == b"late"
    assert (await client.get("/?after")).body == b"after"


async def test_an_idle_connection_is_closed_in_time_without_a_word(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery, Limits(idle_timeout=75), routes=ROUTES)
    client = rig.connect()
    for _ in range(3):  # each request begins it anew
        await client.get()
        await trio.sleep(70)
    await client.get()
    started = trio.current_time()
    assert await client.rest() == b""
    assert trio.current_time() - started == pytest.approx(76, abs=1)
    assert await rig.wait_closed() == [("idle", 200)]
    assert rig.told(EventKind.REFUSED) == []
    assert rig.listener.sweeper.statistics().watched == 0


async def test_an_idle_connection_whose_deadline_cannot_be_checked_is_aborted(
    nursery: trio.Nursery,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(conversation: Conversation, reason: str) -> None:
        raise RuntimeError("a bug")

    rig = Rig(nursery, Limits(idle_timeout=5), routes=ROUTES)
    client = rig.connect()
    await client.get()
    monkeypatch.setattr(Conversation, "close_if_idle", fail)
    assert await client.rest() == b""
    assert await rig.wait_closed() == [("answered", 200)]
    assert len(caplog.records) == 1


async def test_the_head_of_a_later_request_has_its_deadline_from_its_first_byte(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery, Limits(idle_timeout=75, head_timeout=10), routes=ROUTES)
    client = rig.connect()
    await client.get()
    await trio.sleep(60)
    await client.send(b"GET / HT")
    started = trio.current_time()
    assert (await client.response()).status == 408
    assert trio.current_time() - started == pytest.approx(10, abs=0.1)
    assert rig.told(EventKind.REFUSED) == [("head_timeout", 408)]


async def test_a_bad_head_behind_good_ones_is_answered_and_ends_the_connection(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery, routes=ROUTES)
    client = rig.connect()
    await client.send(ask("/?1") + ask("/nowhere") + ask("/?3"))
    assert (await client.response()).body == b"1"
    response = await client.response()
    assert (response.status, response.headers["connection"]) == (404, "close")
    await client.stream.aclose()
    assert await rig.wait_closed() == [("not_found", 404)]
    client = rig.connect()
    await client.send(ask("/?1") + b"\x00\x01garbage\r\n\r\n" + ask("/?3"))
    assert (await client.response()).body == b"1"
    assert (await client.response()).status == 400


async def test_a_websocket_may_follow_requests_on_the_same_connection(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery, routes=ROUTES)
    client = rig.connect()
    await client.send(ask("/?1") + upgrade_request() + frame(TEXT, b"hello"))
    assert (await client.response()).body == b"1"
    assert (await client.take_head())[0] == 101
    assert await client.frame() == (TEXT, b"hello")
    await client.send(close_frame(1000))
    assert await client.closing() == (1000, "")
    assert await rig.wait_closed() == [("", 1000)]


async def test_a_listener_that_is_closing_lets_the_idle_go_and_ends_the_others_with_their_answer(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    release = trio.Event()

    async def slow(exchange: Exchange) -> None:
        await release.wait()
        exchange.respond(200, b"at last")

    rig = Rig(nursery, routes={**ROUTES, "/slow": slow})
    silent, idle, busy, writing, websocket = (rig.connect() for _ in range(5))
    await idle.get()
    await busy.send(ask("/slow"))
    await writing.send(b"GET /?w HT")
    await websocket.upgrade()
    await trio.testing.wait_all_tasks_blocked()
    rig.listener.closing()
    rig.listener.closing()
    assert await silent.rest() == await idle.rest() == b""
    assert sorted(await rig.wait_closed(2), key=str) == [("going away", 200), ("going away", None)]
    release.set()
    response = await busy.response()
    assert (response.body, response.headers["connection"]) == (b"at last", "close")
    await writing.send(b"TP/1.1\r\nHost: localhost\r\n\r\n")
    response = await writing.response()
    assert (response.body, response.headers["connection"]) == (b"w", "close")
    await websocket.send(frame(TEXT, b"still here"))
    assert await websocket.frame() == (TEXT, b"still here")


async def test_a_request_may_be_refused_by_its_route(
    nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def guarded(exchange: Exchange) -> None:
        async with trio.open_nursery():  # which wraps what is raised in it
            raise Refused(401, "no_token", "Who are you?\n", [("WWW-Authenticate", "Bearer")])

    async def too_late(exchange: Exchange) -> None:
        exchange.respond(200, b"done")
        raise Refused(401, "no_token", "Who are you?\n")

    rig = Rig(nursery, routes={"/guarded": guarded, "/late": too_late, "/mcp": echo})
    client = rig.connect()
    response = await client.get("/guarded")
    assert (response.status, response.body) == (401, b"Who are you?\n")
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["connection"] == "close"
    await client.stream.aclose()
    assert await rig.wait_closed() == [("no_token", 401)]
    assert rig.told(EventKind.REFUSED) == [("no_token", 401)]
    assert caplog.records == []
    client = rig.connect()
    assert (await client.get("/late")).body == b"done"
    assert [record.message for record in caplog.records] == ["the route /late failed"]
    assert (await client.get("/late")).body == b"done"  # what was answered was answered well


async def test_an_answer_too_big_to_be_pushed_is_the_last_of_its_connection(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def big(exchange: Exchange) -> None:
        exchange.respond(200, b"x" * 300_000)

    rig = Rig(nursery, Limits(max_pending=200_000, high_water=1000), routes={"/": big, "/mcp": echo})
    response = await rig.connect().get()
    assert response.headers["connection"] == "close"
    assert len(response.body) == 300_000


async def test_who_does_not_read_its_answer_is_let_go_before_its_next_request(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def big(exchange: Exchange) -> None:
        exchange.respond(200, b"x" * 200_000)

    rig = Rig(nursery, Limits(head_timeout=10), routes={"/": big, "/mcp": echo})
    client = rig.connect()
    await client.send(ask("/") * 5)
    assert await rig.wait_closed() == [("answered", 200)]
    assert trio.current_time() == pytest.approx(10, abs=0.1)
    assert rig.listener.statistics().requests == 1
    await rig.still_serves()


@pytest.mark.parametrize("lines", [(), ("Connection: close",)])
async def test_who_reads_its_answer_slowly_is_given_the_time(
    nursery: trio.Nursery, autojump_clock: MockClock, lines: tuple[str, ...]
) -> None:
    async def big(exchange: Exchange) -> None:
        exchange.respond(200, b"x" * 20_000)

    rig = Rig(nursery, Limits(head_timeout=10), routes={"/": big})
    client = rig.connect(capacity=1000)
    await client.send(ask("/", *lines))
    received = b""
    while not received.endswith(b"x" * 20_000):
        await trio.sleep(9)
        received += await client.stream.receive_some()
    assert trio.current_time() > 100


async def test_every_header_line_and_all_of_them_can_be_asked_for(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    seen: list[object] = []

    async def look(exchange: Exchange) -> None:
        seen.append((exchange.header("x-a"), exchange.header_values("x-a"), exchange.header("x-b")))
        seen.append((exchange.secure, exchange.header_values("x-b")))
        exchange.respond(204)

    rig = Rig(nursery, routes={"/": look})
    client: Client = rig.connect()
    assert (await client.get("/", "X-A: 1", "x-a: 2, 3")).status == 204
    assert (await client.get("/", "X-A: 1", "x-a: 2, 3")).status == 204
    assert seen[:2] == [("1, 2, 3", ["1", "2, 3"], None), (False, [])]
