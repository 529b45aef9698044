"""How a WebSocket ends, in whose words and in what time; and what a slow or hostile peer can cost."""

import gc
import struct

import pytest
import trio
import trio.testing
from trio.testing import MockClock
from websockets.server import ServerProtocol

from mcptrio.wire import (
    Limits,
    Link,
    WebSocket,
    memory_transport_pair,
)
from tests.wire.rig import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    close_frame,
    frame,
    open_websocket,
)


async def test_the_peer_closes_and_its_code_is_echoed(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig, client, websocket, _ = await open_websocket(nursery)
    await client.send(close_frame(4001, b"bye") + frame(TEXT, b"never seen"))
    assert await client.closing() == (4001, "bye")
    assert (websocket.close_code, websocket.close_reason) == (4001, "bye")
    assert await rig.wait_closed() == [("bye", 4001)]


async def test_a_close_frame_without_code_is_echoed_so(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    _, client, websocket, _ = await open_websocket(nursery)
    await client.send(frame(CLOSE))
    assert await client.frame() == (CLOSE, b"")
    assert await client.rest() == b""
    assert websocket.close_code == 1005


async def test_close_waits_for_the_answer_and_drops_text_meanwhile(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig, client, websocket, held = await open_websocket(nursery)
    websocket.close(1001, "going away")
    websocket.close(1011, "too late: the first caller wins")
    assert websocket.close_code == 1001
    assert not websocket.push_text(b"after the close frame")
    await client.send(frame(TEXT, b"dropped") + frame(PING, b"harmless") + frame(BINARY, b"whatever"))
    assert await client.frame() == (CLOSE, struct.pack("!H", 1001) + b"going away")
    assert not websocket.closed
    await client.send(frame(TEXT, b"dropped too") + close_frame(1001))
    assert await client.rest() == b""
    await websocket.wait_closed()
    assert trio.current_time() < 1
    assert held.messages == []
    assert await rig.wait_closed() == [("going away", 1001)]
    await websocket.wait_closed()
    assert await websocket.receive() == []


async def test_a_close_that_is_not_answered_ends_at_its_deadline(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    _, client, websocket, _ = await open_websocket(nursery, Limits(close_timeout=5))
    await trio.sleep(0.5)
    websocket.close(1000)
    await websocket.wait_closed()
    assert trio.current_time() == pytest.approx(6, abs=0.1)  # the sweeper's next round after 5.5
    assert await client.frame() == (CLOSE, struct.pack("!H", 1000))
    assert await client.rest() == b""


async def test_a_broken_rule_after_our_close_frame_half_closes(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    _, client, websocket, _ = await open_websocket(nursery)
    websocket.close(1000)
    await client.send(frame(3))
    assert await client.frame() == (CLOSE, struct.pack("!H", 1000))
    assert await client.rest() == b""
    assert not websocket.closed
    await client.stream.send_eof()
    await websocket.wait_closed()
    assert trio.current_time() < 1
    assert websocket.close_code == 1000


async def test_the_close_frame_waits_behind_what_is_pending(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    _, client, websocket, _ = await open_websocket(nursery, capacity=100)
    for number in range(100):
        assert websocket.push_text(b"%d" % number * 20)
    assert websocket.pending_bytes > 1000
    await client.send(close_frame(1000))  # so its answer has to wait, and the end with it
    for number in range(100):
        assert await client.frame() == (TEXT, b"%d" % number * 20)
    assert (await client.closing())[0] == 1000
    await websocket.wait_closed()
    assert trio.current_time() < 1


async def test_our_close_behind_pending_bytes_ends_when_answered_and_flushed(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    _, client, websocket, _ = await open_websocket(nursery, capacity=100)
    websocket.push_text(b"x" * 5000)
    websocket.close(1000)
    await client.send(close_frame(1000))
    assert await client.frame() == (TEXT, b"x" * 5000)
    assert (await client.closing())[0] == 1000
    await websocket.wait_closed()


async def test_a_full_peer_is_aborted_at_the_close_deadline(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    _, _, websocket, _ = await open_websocket(nursery, capacity=300)
    websocket.push_text(b"x" * 5000)
    websocket.close(1001)
    await websocket.wait_closed()
    assert trio.current_time() <= 2.1
    assert websocket.pending_bytes == 0


async def test_abort_ends_it_at_once(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    rig, client, websocket, _ = await open_websocket(nursery)
    websocket.abort()
    websocket.abort()
    assert websocket.closed
    assert websocket.close_code == 1006
    websocket.close(1000)
    assert not websocket.push_frame(b"x")
    assert await client.rest() == b""
    assert await rig.wait_closed() == [("aborted", 1006)]


@pytest.mark.parametrize("code", [0, 999, 1005, 1006, 1015, 2999, 5000])
async def test_a_code_that_may_not_be_sent_is_a_value_error(
    nursery: trio.Nursery, autojump_clock: MockClock, code: int
) -> None:
    _, _, websocket, _ = await open_websocket(nursery)
    with pytest.raises(ValueError, match=f"{code} is not a close code"):
        websocket.close(code)
    assert websocket.close_code is None


async def test_a_long_reason_is_cut_between_characters(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    _, client, websocket, _ = await open_websocket(nursery)
    websocket.close(1000, "ä" * 100)
    await client.send(close_frame(1000))
    assert await client.closing() == (1000, "ä" * 61)


async def test_a_lost_connection_is_1006(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    _, client, websocket, _ = await open_websocket(nursery)
    await client.stream.aclose()
    await websocket.wait_closed()
    assert (websocket.close_code, websocket.close_reason) == (1006, "connection lost")
    _, client, websocket, _ = await open_websocket(nursery)
    await client.send(frame(TEXT, b"half a frame")[:5])
    await client.stream.aclose()
    await websocket.wait_closed()
    assert websocket.close_code == 1006


async def test_a_send_that_fails_is_a_lost_connection(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server, client = memory_transport_pair()
    websocket = WebSocket(Link(server, nursery.start_soon, Limits()), limits=Limits())
    client.abort()
    assert not websocket.push_text(b"x")  # before a reader could notice
    assert websocket.closed
    assert (websocket.close_code, websocket.close_reason) == (1006, "connection lost")


async def test_a_peer_that_accepts_nothing_is_stalled(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig, client, websocket, _ = await open_websocket(
        nursery, Limits(stall_timeout=60, heartbeat=1000), capacity=300
    )
    websocket.push_text(b"x" * 5000)
    await trio.sleep(50)
    await client.take(100)  # a sign of life
    await trio.sleep(50)
    assert websocket.close_code is None
    assert await rig.wait_closed() == [("stalled", 1008)]
    assert trio.current_time() == pytest.approx(112, abs=1.1)


async def test_who_falls_too_far_behind_is_closed_and_memory_stays_bounded(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig, _, websocket, _ = await open_websocket(nursery, Limits(max_pending=10_000), capacity=300)
    pushed = 0
    while websocket.push_text(b"x" * 994):
        pushed += 1
    assert pushed == 10
    assert websocket.pending_bytes <= 10_000 + 125
    assert await rig.wait_closed() == [("too far behind", 1008)]


async def test_high_water_holds_producers_back(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    _, client, websocket, _ = await open_websocket(nursery, Limits(high_water=2000), capacity=300)
    await websocket.wait_below_high_water()
    websocket.push_text(b"x" * 3000)
    with trio.move_on_after(1) as scope:
        await websocket.wait_below_high_water()
    assert scope.cancelled_caught

    async def drain() -> None:
        await client.frame()

    nursery.start_soon(drain)
    await websocket.wait_below_high_water()
    assert websocket.pending_bytes < 2000


async def test_a_silent_peer_is_pinged_and_one_that_answers_lives_on(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    _, client, websocket, _ = await open_websocket(nursery, Limits(heartbeat=30, pong_timeout=20))
    for _round in range(5):
        assert await client.frame() == (PING, b"")
        await trio.sleep(19)
        await client.send(frame(PONG))
    assert websocket.close_code is None
    assert trio.current_time() > 150


async def test_a_missed_pong_closes_with_1011(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    rig, client, _, _ = await open_websocket(nursery, Limits(heartbeat=30, pong_timeout=20))
    assert await client.frame() == (PING, b"")
    assert (await client.frame())[1] == struct.pack("!H", 1011) + b"ping timeout"
    assert trio.current_time() == pytest.approx(51, abs=1.1)
    assert await rig.wait_closed() == [("ping timeout", 1011)]


async def test_who_talks_is_not_pinged(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    _, client, _, held = await open_websocket(nursery, Limits(heartbeat=30))
    for _round in range(10):
        await client.send(frame(TEXT, b"busy"))
        await trio.sleep(25)
    assert held.messages == [b"busy"] * 10
    assert client.received == b""
    with trio.move_on_after(0.1):
        await client.more()
    assert client.received == b""


async def test_a_ping_flood_is_answered_in_bounded_memory(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    _, client, websocket, _ = await open_websocket(nursery, Limits(high_water=1000), capacity=2000)
    for number in range(2000):
        await client.send(frame(PING, b"%0100d" % number))
        assert websocket.pending_bytes < 1200
    numbers = []
    while not numbers or numbers[-1] != 1999:  # the last one is answered, as soon as there is room again
        opcode, payload = await client.frame()
        assert opcode == PONG
        numbers.append(int(payload))
    assert numbers == sorted(numbers)
    await client.send(frame(PING, b"again"))
    assert await client.frame() == (PONG, b"again")


async def test_a_ping_flood_that_is_never_read_ends_as_stalled(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig, client, _, _ = await open_websocket(nursery, Limits(high_water=1000, stall_timeout=60), capacity=200)
    with pytest.raises(trio.BrokenResourceError):
        while True:
            await client.send(frame(PING, b"x" * 125) * 10)
            await trio.sleep(1)
    assert await rig.wait_closed() == [("stalled", 1008)]


async def test_everyone_who_waits_for_the_end_is_told(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    _, _, websocket, _ = await open_websocket(nursery)
    async with trio.open_nursery() as waiting:
        waiting.start_soon(websocket.wait_closed)
        waiting.start_soon(websocket.wait_closed)
        await trio.testing.wait_all_tasks_blocked()
        websocket.abort()
    websocket.check_deadlines(1e9)  # a sweeper in the middle of its round: nothing is due any more


async def test_a_fault_in_front_of_the_peers_close_frame_is_overtaken_by_it(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig, client, _, held = await open_websocket(nursery)
    await client.send(frame(TEXT, b"fine") + frame(BINARY, b"not fine") + close_frame(4000))
    assert (await client.closing())[0] == 4000
    assert held.messages == [b"fine"]
    assert await rig.wait_closed() == [("", 4000)]


async def test_a_closed_websocket_needs_no_garbage_collector(nursery: trio.Nursery) -> None:
    gc.collect()
    gc.disable()
    try:
        for ending in (close_frame(1000), b""):
            server, client = memory_transport_pair()
            websocket: WebSocket | None = WebSocket(
                Link(server, nursery.start_soon, Limits()), limits=Limits()
            )
            assert websocket is not None
            client.send(ending) if ending else client.abort()
            assert await websocket.receive() == []
            assert websocket.closed
            del websocket
        living = [thing for thing in gc.get_objects() if isinstance(thing, WebSocket | ServerProtocol)]
        assert living == []
    finally:
        gc.enable()
