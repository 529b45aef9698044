"""A client that goes while its request is being worked on is noticed at once, and nothing it sent is lost."""

import socket
import struct

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from mcptrio.wire import Exchange, Limits
from tests.wire.rig import TEXT, Client, Rig, echo, frame, upgrade_request

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Working:
    """A route that works until its client has gone; it answers what it noted."""

    def __init__(self, streaming: bool = False) -> None:
        self.streaming = streaming
        self.started = trio.Event()
        self.gone = trio.Event()

    async def __call__(self, exchange: Exchange) -> None:
        if self.streaming:
            exchange.open_stream()
        self.started.set()
        await exchange.wait_disconnected()
        self.gone.set()
        await exchange.wait_disconnected()  # it stays so


def reset(client: Client) -> None:
    assert isinstance(client.stream, trio.SocketStream)
    client.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.stream.socket.close()


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("how", ["close", "half-close", "reset"])
async def test_a_client_that_goes_is_noticed_at_once_on_a_real_socket(
    nursery: trio.Nursery, how: str, streaming: bool, caplog: pytest.LogCaptureFixture
) -> None:
    route = Working(streaming)
    rig = Rig(nursery, routes={"/": route, "/mcp": echo})
    client = await rig.dial(await rig.listen())
    await client.send(GET)
    await route.started.wait()
    if streaming:
        await client.take_head()
    if how == "reset":
        reset(client)
    elif how == "close":
        await client.stream.aclose()
    else:
        await client.stream.send_eof()
    with trio.fail_after(5):
        await route.gone.wait()
        await rig.wait_closed()
    assert rig.listener.sweeper.statistics().watched == 0
    assert caplog.records == []
    await rig.still_serves()


async def test_a_client_that_is_reset_in_the_middle_of_its_body_is_answered_nothing(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    reading = trio.Event()

    async def read(exchange: Exchange) -> None:
        reading.set()
        await exchange.read_body()

    rig = Rig(nursery, routes={"/": read, "/mcp": echo})
    client = await rig.dial(await rig.listen())
    await client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf")
    await reading.wait()
    reset(client)
    assert await rig.wait_closed() == [("disconnected", None)]
    assert caplog.records == []
    await rig.still_serves()


async def test_a_client_that_half_closes_can_still_be_answered(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def route(exchange: Exchange) -> None:
        await exchange.wait_disconnected()
        exchange.respond(200, b"if you still listen")

    rig = Rig(nursery, routes={"/": route})
    client = rig.connect()
    await client.send(GET)
    await client.stream.send_eof()
    assert (await client.response()).body == b"if you still listen"
    assert await client.rest() == b""


async def test_what_comes_meanwhile_is_kept_as_the_next_request(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    answers = iter([b"first", b"second", b"third"])

    async def patient(exchange: Exchange) -> None:
        for _ in range(5):  # cancelled again and again, it loses nothing
            with trio.move_on_after(1):
                await exchange.wait_disconnected()
                raise AssertionError("nobody has gone")
        exchange.respond(200, next(answers))

    rig = Rig(nursery, routes={"/": patient})
    client = rig.connect()
    await client.send(GET)
    await trio.sleep(0.5)
    for byte in GET + GET:
        await client.send(bytes([byte]))
        await trio.sleep(0.01)
    for body in (b"first", b"second", b"third"):
        assert (await client.response()).body == body


async def test_frames_that_were_sent_ahead_of_an_upgrade_are_few_or_refused(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    release = trio.Event()

    async def patient(exchange: Exchange) -> None:
        async with trio.open_nursery() as watching:
            watching.start_soon(exchange.wait_disconnected)
            await release.wait()
            watching.cancel_scope.cancel()
        exchange.respond(200)

    rig = Rig(nursery, routes={"/": patient, "/mcp": echo})
    few, many = rig.connect(), rig.connect()
    await few.send(GET + upgrade_request() + frame(TEXT, b"hello"))
    await many.send(GET + upgrade_request() + frame(TEXT, b"") * 1000)
    await trio.testing.wait_all_tasks_blocked()
    release.set()
    for client, status in ((few, 101), (many, 400)):
        assert (await client.response()).status == 200
        assert (await client.take_head())[0] == status
    assert await few.frame() == (TEXT, b"hello")


@pytest.mark.parametrize("streaming", [False, True])
async def test_who_sends_too_much_ahead_is_cut_off(
    nursery: trio.Nursery, autojump_clock: MockClock, streaming: bool
) -> None:
    route = Working(streaming)
    rig = Rig(nursery, routes={"/": route, "/mcp": echo})
    client = rig.connect()
    await client.send(GET)
    await client.send(b"x" * 65_536)
    await trio.testing.wait_all_tasks_blocked()
    assert not route.gone.is_set()
    await client.send(b"x")
    await route.gone.wait()
    expected = ("sent too much ahead", 200) if streaming else ("answered", 500)
    assert await rig.wait_closed() == [expected]
    await rig.still_serves()


async def test_a_stream_that_is_cut_for_its_slowness_is_a_disconnect(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    route = Working(streaming=True)

    async def fountain(exchange: Exchange) -> None:
        exchange.open_stream().push(b"x" * 200_000)
        await exchange.wait_disconnected()
        route.gone.set()

    rig = Rig(nursery, Limits(stall_timeout=60), routes={"/": fountain})
    await rig.connect().send(GET)
    await route.gone.wait()
    assert trio.current_time() == pytest.approx(60, abs=2)
    assert await rig.wait_closed() == [("stalled", 200)]
