"""A response in pieces: in order, bounded, and ended in a way that the client can tell."""

from collections.abc import Callable

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from mcptrio.wire import EventKind, Exchange, Limits, ResponseStream
from mcptrio.wire.sse import chunk, event, event_frame
from tests.wire.rig import Client, Rig, echo

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Streaming:
    """A route that hands its stream to the test, and stays until the test lets it go or the client leaves."""

    def __init__(self, leave: Callable[[], None] = lambda: None, idle_chunk: bytes = b"") -> None:
        self.leave = leave
        self.idle_chunk = idle_chunk
        self.stream: ResponseStream | None = None
        self.opened = trio.Event()
        self.release = trio.Event()

    async def __call__(self, exchange: Exchange) -> None:
        self.stream = exchange.open_stream(idle_chunk=self.idle_chunk, headers=[("X-Accel-Buffering", "no")])
        self.opened.set()
        await self.release.wait()
        self.leave()


async def open_stream(
    nursery: trio.Nursery,
    limits: Limits | None = None,
    *,
    capacity: int = 65_536,
    request: bytes = GET,
    **options: object,
) -> tuple[Rig, Client, ResponseStream, Streaming]:
    route = Streaming(**options)  # type: ignore[arg-type]
    rig = Rig(nursery, limits or Limits(), routes={"/": route, "/mcp": echo})
    client = rig.connect(capacity)
    await client.send(request)
    await route.opened.wait()
    assert route.stream is not None
    return rig, client, route.stream, route


async def test_what_is_pushed_arrives_in_order_and_a_finished_stream_makes_room_for_the_next_request(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig, client, stream, route = await open_stream(nursery)
    status, headers = await client.take_head()
    assert (status, headers["transfer-encoding"], headers["content-type"]) == (
        200,
        "chunked",
        "text/event-stream",
    )
    assert headers["x-accel-buffering"] == "no"
    assert "connection" not in headers
    assert "content-length" not in headers
    assert stream.push(b"one")
    assert await client.chunk() == b"one"
    assert stream.push(b"")  # nothing, and not the end
    assert stream.push_frame(chunk(b"two") + event_frame(b"three"))
    assert await client.chunk() == b"two"
    assert await client.chunk() == event(b"three")
    assert not stream.closed
    stream.finish(b"last")
    stream.finish(b"never")
    assert stream.closed
    assert not stream.push(b"too late")
    assert not stream.push(b"")
    await stream.wait_closed()
    route.release.set()
    assert await client.chunk() == b"last"
    assert await client.chunk() == b""
    await trio.testing.wait_all_tasks_blocked()
    stream.abort()  # it is over: this is another's connection
    assert (stream.gone, stream.close_reason, stream.pending_bytes) == (True, "", 0)
    assert stream._buffer.on_overflow == stream._link.abort  # nor does it hear of it
    assert rig.listener.sweeper.statistics().watched == 1  # the connection, which is idle
    await client.send(GET)
    assert (await client.take_head())[0] == 200


async def test_a_stream_that_its_route_leaves_open_is_finished(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig, client, stream, route = await open_stream(nursery)
    stream.push(b"all")
    route.release.set()
    response = await client.response()
    assert response.body == b"all"
    await client.stream.aclose()
    assert await rig.wait_closed() == [("answered", 200)]
    assert rig.listener.sweeper.statistics().watched == 0


async def test_a_stream_that_a_listener_is_closing_on_is_the_last_of_its_connection(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig, client, stream, route = await open_stream(nursery)
    rig.listener.closing()
    stream.finish(b"the last")
    route.release.set()
    assert (await client.response()).body == b"the last"
    assert await client.rest() == b""
    assert trio.current_time() < 5
    assert await rig.wait_closed() == [("answered", 200)]


async def test_a_stream_whose_route_fails_is_cut_so_that_the_client_can_tell(
    nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("a bug")

    rig, client, stream, route = await open_stream(nursery, leave=fail)
    stream.push(b"some")
    route.release.set()
    await client.take_head()
    assert await client.rest() == chunk(b"some")
    assert await rig.wait_closed() == [("internal error", 200)]
    assert stream.closed
    assert [record.message for record in caplog.records] == ["the route / failed"]
    await rig.still_serves()


async def test_a_stream_whose_route_is_cancelled_is_cut(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        rig, client, stream, _ = await open_stream(nursery)
        stream.push(b"some")
        nursery.cancel_scope.cancel()
    await client.take_head()
    assert await client.rest() == chunk(b"some")
    assert rig.told(EventKind.CLOSED) == [("cancelled", 200)]
    assert (stream.closed, stream.gone, stream.close_reason) == (True, True, "cancelled")
    assert rig.listener.sweeper.statistics().watched == 0


async def test_a_finished_stream_that_is_cancelled_before_it_has_left_is_cut_too(
    autojump_clock: MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        rig, _client, stream, route = await open_stream(nursery, capacity=100)
        stream.finish(b"x" * 1000)
        assert stream.pending_bytes
        route.release.set()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert rig.told(EventKind.CLOSED) == [("cancelled", 200)]
    assert rig.listener.sweeper.statistics().watched == 0


async def test_the_next_request_waits_for_the_bytes_of_a_finished_stream(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig, client, stream, route = await open_stream(nursery, capacity=1000, request=GET + GET)
    stream.finish(b"x" * 5000)
    route.release.set()
    await trio.sleep(50)
    assert rig.listener.statistics().requests == 1
    assert len((await client.response()).body) == 5000
    assert (await client.response()).body == b""
    assert rig.listener.statistics().requests == 2


async def test_one_that_falls_too_far_behind_is_cut(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    limits = Limits(max_pending=10_000, high_water=1000)
    rig, client, stream, route = await open_stream(nursery, limits, capacity=1000)
    while stream.push(b"x" * 100):
        assert stream.pending_bytes <= 10_000
    assert stream.closed
    await stream.wait_closed()
    await stream.wait_below_high_water()
    route.release.set()
    assert await rig.wait_closed() == [("too far behind", 200)]
    assert len(await client.rest()) == 1000
    await rig.still_serves()


async def test_one_that_takes_no_byte_is_cut_in_time_and_one_that_takes_a_few_is_not(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig, client, stream, _ = await open_stream(nursery, Limits(stall_timeout=60), capacity=1000)
    stream.push(b"x" * 5000)
    for _ in range(3):
        await trio.sleep(50)
        await client.stream.receive_some(10)
    assert not stream.closed
    await trio.sleep(50)
    assert not stream.closed
    with trio.fail_after(15):
        await stream.wait_closed()
    assert stream.close_reason == "stalled"
    assert rig.listener.sweeper.statistics().watched == 0
    await rig.still_serves()


async def test_a_finished_stream_is_cut_too_when_its_client_takes_nothing_more(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig, _, stream, route = await open_stream(nursery, Limits(stall_timeout=60), capacity=1000)
    stream.finish(b"x" * 5000)
    route.release.set()
    assert await rig.wait_closed() == [("stalled", 200)]
    assert trio.current_time() == pytest.approx(60, abs=2)


async def test_a_producer_can_wait_until_there_is_room(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    limits = Limits(high_water=1000)
    _, client, stream, _ = await open_stream(nursery, limits, capacity=100)
    stream.push(b"x" * 2000)
    waited = trio.Event()

    async def wait() -> None:
        await stream.wait_below_high_water()
        waited.set()

    nursery.start_soon(wait)
    await trio.testing.wait_all_tasks_blocked()
    assert not waited.is_set()
    while stream.pending_bytes >= 1000:
        await client.take(100)
        await trio.testing.wait_all_tasks_blocked()
    await waited.wait()


async def test_a_quiet_stream_is_sent_its_comment_and_a_busy_one_is_not(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    limits = Limits(comment_interval=15)
    _, client, stream, route = await open_stream(nursery, limits, idle_chunk=b": still here\n\n")
    await client.take_head()
    for _ in range(4):
        await trio.sleep(10)
        stream.push(b"busy")
        assert await client.chunk() == b"busy"
    quiet_since = trio.current_time()
    for number in (1, 2, 3):
        assert await client.chunk() == b": still here\n\n"
        assert trio.current_time() - quiet_since == pytest.approx(16 * number, abs=2)
    route.release.set()
    assert await client.chunk() == b""
    await trio.sleep(100)
    assert client.received == b""


async def test_a_stream_without_a_comment_is_left_in_peace(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    _, client, stream, _ = await open_stream(nursery)
    await trio.sleep(10_000)
    stream.push(b"at last")
    await client.take_head()
    assert await client.chunk() == b"at last"


async def test_no_comment_is_put_behind_bytes_that_wait_already(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    limits = Limits(stall_timeout=100, comment_interval=10)
    _, _, stream, _ = await open_stream(nursery, limits, capacity=1000, idle_chunk=b":\n\n")
    stream.push(b"x" * 5000)
    pending = stream.pending_bytes
    await trio.sleep(90)
    assert stream.pending_bytes == pending


async def test_http_1_0_gets_the_bytes_alone_and_the_end_of_the_connection(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig, client, stream, route = await open_stream(nursery, request=GET.replace(b"/1.1", b"/1.0"))
    status, headers = await client.take_head()
    assert (status, headers["connection"], "transfer-encoding" in headers) == (200, "close", False)
    stream.push(b"one,")
    stream.push_frame(chunk(b"two,") + chunk(b"three,"))
    stream.finish(b"four")
    route.release.set()
    assert await client.rest() == b"one,two,three,four"
    await client.stream.aclose()
    assert await rig.wait_closed() == [("answered", 200)]


async def test_to_head_there_is_no_body_and_the_stream_takes_nothing(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    _, client, stream, route = await open_stream(nursery, request=GET.replace(b"GET", b"HEAD"))
    assert not stream.push(b"x")
    assert stream.closed
    stream.finish(b"x")
    route.release.set()
    await client.take_head()
    await client.send(GET)
    assert (await client.take_head())[0] == 200


async def test_a_stream_is_an_answer_and_there_is_one(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def route(exchange: Exchange) -> None:
        with pytest.raises(ValueError, match="204 has no body"):
            exchange.open_stream(status=204)
        with pytest.raises(ValueError, match="cannot be sent"):
            exchange.open_stream(headers=[("X", "a\nb")])
        stream = exchange.open_stream(status=202, content_type="text/plain")
        with pytest.raises(RuntimeError, match="answered already"):
            exchange.respond(200)
        with pytest.raises(RuntimeError, match="answered already"):
            exchange.open_stream()
        stream.finish(b"fine")

    rig = Rig(nursery, routes={"/": route})
    client = rig.connect()
    response = await client.get()
    assert (response.status, response.body, response.headers["content-type"]) == (202, b"fine", "text/plain")


async def test_a_client_that_has_gone_is_noticed_by_the_next_push(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig, client, stream, route = await open_stream(nursery)
    await client.stream.aclose()
    assert not stream.push(b"anybody?")
    assert (stream.closed, stream.close_reason) == (True, "connection lost")
    await stream.wait_closed()
    route.release.set()
    assert await rig.wait_closed() == [("connection lost", 200)]


async def test_a_client_that_has_gone_before_the_head_gets_a_stream_that_is_closed(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def late(exchange: Exchange) -> None:
        await trio.testing.wait_all_tasks_blocked()
        stream = exchange.open_stream()
        assert stream.closed
        assert not stream.push(b"x")

    rig = Rig(nursery, routes={"/": late})
    client = rig.connect()
    await client.send(GET)
    await client.stream.aclose()
    assert await rig.wait_closed() == [("connection lost", 200)]
