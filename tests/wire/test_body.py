"""The body of a request: whole and within its limits, or a word about why not."""

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from mcptrio.wire import EventKind, Exchange, Limits, PeerGone
from tests.wire.rig import Client, Rig, echo


class Reader:
    """A route that reads its body and says how long it is; what became of it is noted."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.bodies: list[bytes] = []
        self.raised: list[BaseException] = []

    async def __call__(self, exchange: Exchange) -> None:
        try:
            self.bodies.append(await exchange.read_body(self.limit))
        except BaseException as error:
            self.raised.append(error)
            raise
        assert await exchange.read_body() == b""  # it is read once
        exchange.respond(200, str(len(self.bodies[-1])).encode())


def head(*lines: str) -> bytes:
    return "\r\n".join(["POST / HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


CHUNKED = head("Transfer-Encoding: chunked")


def make(nursery: trio.Nursery, limits: Limits, limit: int | None = None) -> tuple[Rig, Client, Reader]:
    reader = Reader(limit)
    rig = Rig(nursery, limits, routes={"/": reader, "/mcp": echo})
    return rig, rig.connect(), reader


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(head(), id="none"),
        pytest.param(head("Content-Length: 0"), id="of length zero"),
        pytest.param(CHUNKED + b"0\r\n\r\n", id="of no chunks"),
        pytest.param(CHUNKED + b"0\r\nTrailer: x\r\n\r\n", id="with a trailer"),
    ],
)
async def test_an_empty_body_is_empty(nursery: trio.Nursery, autojump_clock: MockClock, sent: bytes) -> None:
    _, client, reader = make(nursery, Limits())
    for _ in range(2):
        await client.send(sent)
        assert (await client.response()).body == b"0"
    assert reader.bodies == [b"", b""]


@pytest.mark.parametrize("limit", [None, 20])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_of_exactly_the_limit_is_read_and_one_byte_more_is_413(
    nursery: trio.Nursery, autojump_clock: MockClock, limit: int | None, chunked: bool
) -> None:
    def body(size: int) -> bytes:
        if chunked:
            return CHUNKED + b"1\r\nx\r\n" * size + b"0\r\n\r\n"
        return head(f"Content-Length: {size}") + b"x" * size

    rig, client, reader = make(nursery, Limits(max_message=20 if limit is None else 40), limit)
    await client.send(body(20))
    assert (await client.response()).body == b"20"
    await client.send(body(21))
    response = await client.response()
    assert (response.status, response.body) == (413, b"The request's body exceeds 20 bytes.\n")
    assert response.headers["connection"] == "close"
    assert rig.told(EventKind.REFUSED) == [("body_too_big", 413)]
    assert reader.bodies == [b"x" * 20]
    await rig.still_serves()


async def test_a_body_that_is_announced_too_big_is_refused_before_it_comes(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig, client, _ = make(nursery, Limits(max_message=1000))
    await client.send(head("Content-Length: 99999999999999999999", "Expect: 100-continue"))
    assert (await client.response()).status == 413
    assert trio.current_time() < 1
    await client.stream.aclose()
    assert await rig.wait_closed() == [("body_too_big", 413)]


@pytest.mark.parametrize("framing", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
async def test_a_body_that_dribbles_on_is_408_in_time(
    nursery: trio.Nursery, autojump_clock: MockClock, framing: str
) -> None:
    rig, client, _ = make(nursery, Limits(body_timeout=30))
    await client.send(head(framing))

    async def dribble() -> None:
        try:
            while True:
                await client.send(b"1" if framing.startswith("C") else b"1\r\nx\r\n")
                await trio.sleep(1)
        except trio.BrokenResourceError:
            pass

    nursery.start_soon(dribble)
    response = await client.response()
    assert (response.status, response.headers["connection"]) == (408, "close")
    assert rig.told(EventKind.REFUSED) == [("body_timeout", 408)]
    assert trio.current_time() == pytest.approx(30, abs=2)
    await rig.still_serves()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"x\r\n", id="size is no number"),
        pytest.param(b"-1\r\n", id="negative size"),
        pytest.param(b"0x1\r\na\r\n", id="size with a prefix"),
        pytest.param(b"1\r\nab\r\n", id="longer than it says"),
        pytest.param(b"3\r\nab\r\n0\r\n\r\n", id="shorter than it says"),
        pytest.param(b"f" * 100 + b"\r\n", id="endless size"),
        pytest.param(b"1;" + b"x" * 70_000, id="endless extension"),
        pytest.param(b"0\r\n" + b"X: y\r\n" * 20_000, id="endless trailer"),
        pytest.param(b"0\r\nno field\r\n\r\n", id="bad trailer"),
        pytest.param(b"\r\n\r\n", id="no size"),
    ],
)
async def test_bad_chunks_are_400(nursery: trio.Nursery, autojump_clock: MockClock, body: bytes) -> None:
    rig, client, _ = make(nursery, Limits())
    await client.send(CHUNKED)
    try:
        await client.send(body)
    except trio.BrokenResourceError:
        pass  # it has heard enough
    response = await client.response()
    assert (response.status, response.headers["connection"]) == (400, "close")
    assert rig.told(EventKind.REFUSED) == [("bad_request", 400)]
    await rig.still_serves()


@pytest.mark.parametrize("sent", [head("Content-Length: 5") + b"hel", CHUNKED + b"5\r\nhel", CHUNKED])
@pytest.mark.parametrize("politely", [True, False])
async def test_who_leaves_in_the_middle_of_the_body_is_answered_nothing(
    nursery: trio.Nursery,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
    sent: bytes,
    politely: bool,
) -> None:
    rig, client, reader = make(nursery, Limits())
    await client.send(sent)
    await trio.testing.wait_all_tasks_blocked()
    if politely:
        await client.stream.send_eof()
        assert await client.rest() == b""
    await client.stream.aclose()
    assert await rig.wait_closed() == [("disconnected", None)]
    assert [type(error) for error in reader.raised] == [PeerGone]
    assert rig.told(EventKind.REFUSED) == []
    assert caplog.records == []
    await rig.still_serves()


@pytest.mark.parametrize("framing", ["Content-Length: 3", "Transfer-Encoding: chunked"])
async def test_who_waits_to_be_told_to_continue_is_told_so_once_the_body_is_wanted(
    nursery: trio.Nursery, autojump_clock: MockClock, framing: str
) -> None:
    _, client, reader = make(nursery, Limits())
    for _ in range(2):
        await client.send(head(framing, "Expect: 100-Continue"))
        assert await client.take_head() == (100, {})
        for byte in b"abc" if framing.startswith("C") else b"3\r\nabc\r\n0\r\n\r\n":
            await client.send(bytes([byte]))
            await trio.testing.wait_all_tasks_blocked()
        response = await client.response()
        assert (response.status, response.body) == (200, b"3")
    assert reader.bodies == [b"abc", b"abc"]


async def test_who_does_not_wait_and_who_speaks_http_1_0_is_not_told_to_continue(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    _, client, _ = make(nursery, Limits())
    await client.send(head("Content-Length: 3", "Expect: 100-continue") + b"abc")
    assert (await client.response()).status == 200
    await client.send(head("Content-Length: 3", "Expect: 100-continue").replace(b"/1.1", b"/1.0"))
    await trio.testing.wait_all_tasks_blocked()
    await client.send(b"abc")
    assert (await client.response()).status == 200


async def test_a_reading_that_is_cancelled_leaves_a_connection_that_ends_with_its_response(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def impatient(exchange: Exchange) -> None:
        with trio.move_on_after(1):
            await exchange.read_body()
        exchange.respond(503, b"no time\n")

    rig = Rig(nursery, routes={"/": impatient})
    client = rig.connect()
    await client.send(CHUNKED + b"5\r\nhel")
    response = await client.response()
    assert (response.status, response.headers["connection"]) == (503, "close")


async def test_a_body_of_many_tiny_chunks_keeps_nobody_waiting(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    _rig, client, reader = make(nursery, Limits())
    steps = 0

    async def count() -> None:
        nonlocal steps
        while not reader.bodies:
            await trio.lowlevel.checkpoint()
            steps += 1

    nursery.start_soon(count)
    await client.send(CHUNKED + b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n")
    assert (await client.response()).body == b"10000"
    assert steps > 10_000 / 64


@settings(max_examples=60)
@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    st.lists(st.integers(1, 60), max_size=12),
    st.booleans(),
)
def test_however_a_body_is_cut_into_chunks_and_segments_it_is_the_same_and_the_next_request_is_found(
    pieces: list[bytes], cuts: list[int], chunked: bool
) -> None:
    body = b"".join(pieces)
    if chunked:
        sent = CHUNKED + b"".join(b"%X\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    else:
        sent = head(f"Content-Length: {len(body)}") + body
    sent *= 2

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            _, client, reader = make(nursery, Limits())
            rest = sent
            for cut in cuts:
                piece, rest = rest[:cut], rest[cut:]
                await client.send(piece)
                await trio.testing.wait_all_tasks_blocked()
            await client.send(rest)
            for _ in range(2):
                assert (await client.response()).body == str(len(body)).encode()
            assert reader.bodies == [body, body]
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))
