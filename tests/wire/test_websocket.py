"""RFC 6455 as the server sees it: what is received, how it ends, and what a hostile peer can cost."""

import struct
from collections.abc import Sequence

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock
from websockets.frames import Frame, Opcode

from mcptrio.wire import (
    EventKind,
    Limits,
    Link,
    MemoryTransport,
    WebSocket,
    memory_transport_pair,
    text_frame,
)
from tests.wire.rig import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Client,
    Held,
    Rig,
    close_frame,
    frame,
    upgrade_request,
)


async def _open(
    nursery: trio.Nursery, limits: Limits | None = None, capacity: int = 65_536
) -> tuple[Rig, Client, WebSocket, Held]:
    held = Held()
    rig = Rig(nursery, limits or Limits(), routes={"/mcp": held})
    client = rig.connect(capacity)
    await client.upgrade()
    return rig, client, await held.get(), held


@pytest.mark.parametrize(
    ("frames", "code", "reason"),
    [
        pytest.param([frame(TEXT, b"\xff")], 1007, "a text message is not UTF-8", id="invalid utf-8"),
        pytest.param(
            [frame(TEXT, "ä".encode()[:1], fin=False), frame(CONT, b"!")],
            1007,
            None,
            id="invalid utf-8 in fragments",
        ),
        pytest.param([frame(TEXT, b"\xed\xa0\x80")], 1007, None, id="surrogate"),
        pytest.param([frame(BINARY, b"x")], 1003, "binary messages are not accepted", id="binary"),
        pytest.param([frame(BINARY, b"x", fin=False), frame(CONT)], 1003, None, id="binary fragment"),
        pytest.param([frame(3)], 1002, None, id="reserved opcode"),
        pytest.param([frame(11)], 1002, None, id="reserved control opcode"),
        pytest.param([frame(TEXT, b"x", rsv=4)], 1002, None, id="reserved bit"),
        pytest.param([frame(TEXT, b"x", masked=False)], 1002, None, id="unmasked"),
        pytest.param([frame(CONT, b"x")], 1002, None, id="continuation of nothing"),
        pytest.param(
            [frame(TEXT, b"x", fin=False), frame(TEXT, b"y")], 1002, None, id="text inside a message"
        ),
        pytest.param([frame(PING, b"x" * 126)], 1002, None, id="long ping"),
        pytest.param([frame(PING, fin=False)], 1002, None, id="fragmented ping"),
        pytest.param([frame(CLOSE, b"\x03")], 1002, None, id="close with half a code"),
        pytest.param([close_frame(1005)], 1002, None, id="close 1005"),
        pytest.param([close_frame(1006)], 1002, None, id="close 1006"),
        pytest.param([close_frame(999)], 1002, None, id="close 999"),
        pytest.param([close_frame(5000)], 1002, None, id="close 5000"),
        pytest.param([close_frame(1000, b"\xff")], 1007, None, id="close reason not utf-8"),
        pytest.param(
            [frame(TEXT, b"x", fin=False), close_frame(1000)], 1002, None, id="close inside a message"
        ),
        pytest.param([frame(TEXT, size=1126)], 1009, None, id="too big"),
        pytest.param([frame(TEXT, size=2**63 - 1)], 1009, None, id="absurdly big"),
        pytest.param([frame(TEXT, b"x" * 1001)], 1009, "message too big", id="just too big"),
        pytest.param(
            [frame(TEXT, b"x" * 600, fin=False), frame(CONT, b"x" * 401)],
            1009,
            "message too big",
            id="too big in two",
        ),
        pytest.param(
            [frame(TEXT, fin=False)] + [frame(CONT, fin=False)] * 8 + [frame(CONT)],
            1009,
            "too many fragments",
            id="fragments",
        ),
    ],
)
async def test_a_broken_rule_closes_with_its_code_and_what_came_before_is_received(
    nursery: trio.Nursery, autojump_clock: MockClock, frames: list[bytes], code: int, reason: str | None
) -> None:
    rig, client, websocket, held = await _open(nursery, Limits(max_message=1000, max_fragments=8))
    await client.send(frame(TEXT, b"before") + b"".join(frames) + frame(TEXT, b"after"))
    closed = await client.closing()
    assert closed[0] == code
    assert reason is None or closed[1] == reason
    assert held.messages == [b"before"]
    await websocket.wait_closed()
    assert (websocket.close_code, websocket.close_reason) == closed or code == 1002
    assert not websocket.push_text(b"late")
    assert (await rig.wait_closed())[0][1] == websocket.close_code


async def test_a_message_of_exactly_the_limits_is_received(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    _, client, _, held = await _open(nursery, Limits(max_message=1000, max_fragments=8))
    whole = b"y" * 1000
    # A ping inside a message that leaves no room for it is nobody's fault.
    parts = [frame(TEXT, whole[:999], fin=False), frame(PING, b"p" * 125)]
    parts += [frame(CONT, fin=False)] * 6 + [frame(CONT, whole[999:])]
    await client.send(frame(TEXT, whole) + b"".join(parts) + frame(TEXT, "ää".encode()))
    assert await client.frame() == (PONG, b"p" * 125)
    await client.send(close_frame(1000))
    await client.closing()
    assert held.messages == [whole, whole, "ää".encode()]


async def test_the_peer_closes_and_its_code_is_echoed(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig, client, websocket, _ = await _open(nursery)
    await client.send(close_frame(4001, b"bye") + frame(TEXT, b"never seen"))
    assert await client.closing() == (4001, "bye")
    assert (websocket.close_code, websocket.close_reason) == (4001, "bye")
    assert await rig.wait_closed() == [("bye", 4001)]


async def test_a_close_frame_without_code_is_echoed_so(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    _, client, websocket, _ = await _open(nursery)
    await client.send(frame(CLOSE))
    assert await client.frame() == (CLOSE, b"")
    assert await client.rest() == b""
    assert websocket.close_code == 1005


async def test_close_waits_for_the_answer_and_drops_text_meanwhile(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig, client, websocket, held = await _open(nursery)
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
    _, client, websocket, _ = await _open(nursery, Limits(close_timeout=5))
    await trio.sleep(0.5)
    websocket.close(1000)
    await websocket.wait_closed()
    assert trio.current_time() == pytest.approx(6, abs=0.1)  # the sweeper's next round after 5.5
    assert await client.frame() == (CLOSE, struct.pack("!H", 1000))
    assert await client.rest() == b""


async def test_a_broken_rule_after_our_close_frame_half_closes(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    _, client, websocket, _ = await _open(nursery)
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
    _, client, websocket, _ = await _open(nursery, capacity=100)
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
    _, client, websocket, _ = await _open(nursery, capacity=100)
    websocket.push_text(b"x" * 5000)
    websocket.close(1000)
    await client.send(close_frame(1000))
    assert await client.frame() == (TEXT, b"x" * 5000)
    assert (await client.closing())[0] == 1000
    await websocket.wait_closed()


async def test_a_full_peer_is_aborted_at_the_close_deadline(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    _, _, websocket, _ = await _open(nursery, capacity=300)
    websocket.push_text(b"x" * 5000)
    websocket.close(1001)
    await websocket.wait_closed()
    assert trio.current_time() <= 2.1
    assert websocket.pending_bytes == 0


async def test_abort_ends_it_at_once(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    rig, client, websocket, _ = await _open(nursery)
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
    _, _, websocket, _ = await _open(nursery)
    with pytest.raises(ValueError, match=f"{code} is not a close code"):
        websocket.close(code)
    assert websocket.close_code is None


async def test_a_long_reason_is_cut_between_characters(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    _, client, websocket, _ = await _open(nursery)
    websocket.close(1000, "ä" * 100)
    await client.send(close_frame(1000))
    assert await client.closing() == (1000, "ä" * 61)


async def test_a_lost_connection_is_1006(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    _, client, websocket, _ = await _open(nursery)
    await client.stream.aclose()
    await websocket.wait_closed()
    assert (websocket.close_code, websocket.close_reason) == (1006, "connection lost")
    _, client, websocket, _ = await _open(nursery)
    await client.send(frame(TEXT, b"half a frame")[:5])
    await client.stream.aclose()
    await websocket.wait_closed()
    assert websocket.close_code == 1006


async def test_a_send_that_fails_is_a_lost_connection(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    _, client, websocket, _ = await _open(nursery)
    await client.stream.aclose()
    assert not websocket.push_text(b"x")  # before the reader could notice
    assert websocket.closed
    assert (websocket.close_code, websocket.close_reason) == (1006, "connection lost")


async def test_a_peer_that_accepts_nothing_is_stalled(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig, client, websocket, _ = await _open(nursery, Limits(stall_timeout=60, heartbeat=1000), capacity=300)
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
    rig, _, websocket, _ = await _open(nursery, Limits(max_pending=10_000), capacity=300)
    pushed = 0
    while websocket.push_text(b"x" * 994):
        pushed += 1
    assert pushed == 10
    assert websocket.pending_bytes <= 10_000 + 125
    assert await rig.wait_closed() == [("too far behind", 1008)]


async def test_high_water_holds_producers_back(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    _, client, websocket, _ = await _open(nursery, Limits(high_water=2000), capacity=300)
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
    _, client, websocket, _ = await _open(nursery, Limits(heartbeat=30, pong_timeout=20))
    for _round in range(5):
        assert await client.frame() == (PING, b"")
        await trio.sleep(19)
        await client.send(frame(PONG))
    assert websocket.close_code is None
    assert trio.current_time() > 150


async def test_a_missed_pong_closes_with_1011(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    rig, client, _, _ = await _open(nursery, Limits(heartbeat=30, pong_timeout=20))
    assert await client.frame() == (PING, b"")
    assert (await client.frame())[1] == struct.pack("!H", 1011) + b"ping timeout"
    assert trio.current_time() == pytest.approx(51, abs=1.1)
    assert await rig.wait_closed() == [("ping timeout", 1011)]


async def test_who_talks_is_not_pinged(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    _, client, _, held = await _open(nursery, Limits(heartbeat=30))
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
    _, client, websocket, _ = await _open(nursery, Limits(high_water=1000), capacity=2000)
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
    rig, client, _, _ = await _open(nursery, Limits(high_water=1000, stall_timeout=60), capacity=200)
    with pytest.raises(trio.BrokenResourceError):
        while True:
            await client.send(frame(PING, b"x" * 125) * 10)
            await trio.sleep(1)
    assert await rig.wait_closed() == [("stalled", 1008)]


async def test_a_flooder_starves_nobody(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    _, flooder, _, held = await _open(nursery)

    async def flood() -> None:
        while True:
            await flooder.send(frame(TEXT, b"x") * 1000)

    async with trio.open_nursery() as flooding:
        flooding.start_soon(flood)
        rig = Rig(nursery)
        client = rig.connect()
        await client.upgrade()
        for _round in range(10):
            await client.send(frame(TEXT, b"me too"))
            assert await client.frame() == (TEXT, b"me too")
        flooding.cancel_scope.cancel()
    assert len(held.messages) > 1000


async def test_many_frames_come_out_of_one_read(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    server, client = memory_transport_pair()
    websocket = WebSocket(Link(server, nursery.start_soon, Limits()), limits=Limits())
    client.send(b"".join(frame(TEXT, b"%d" % number) for number in range(500)))
    assert await websocket.receive() == [b"%d" % number for number in range(500)]
    assert websocket.peername == "memory client"


async def test_only_one_task_receives_and_cancelling_it_loses_nothing(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server, client = memory_transport_pair()
    websocket = WebSocket(Link(server, nursery.start_soon, Limits()), limits=Limits())
    async with trio.open_nursery() as receiving:
        receiving.start_soon(websocket.receive)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await websocket.receive()
        receiving.cancel_scope.cancel()
    client.send(frame(TEXT, b"kept")[:3])
    with trio.move_on_after(1):
        await websocket.receive()
    client.send(frame(TEXT, b"kept")[3:])
    assert await websocket.receive() == [b"kept"]


async def test_every_receive_is_a_checkpoint(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    server, client = memory_transport_pair()
    websocket = WebSocket(
        Link(server, nursery.start_soon, Limits()), limits=Limits(), received=frame(TEXT, b"early")
    )
    with trio.testing.assert_checkpoints():
        assert await websocket.receive() == [b"early"]
    client.send(frame(TEXT, b"x"))
    with trio.testing.assert_checkpoints():
        assert await websocket.receive() == [b"x"]
    websocket.abort()
    with trio.testing.assert_checkpoints():
        assert await websocket.receive() == []
    with trio.testing.assert_checkpoints():
        await websocket.wait_closed()


async def test_a_false_alarm_of_readability_is_waited_out(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    class Nervous:
        """A transport that now and then says readable when it is not."""

        def __init__(self, inner: MemoryTransport) -> None:
            self.inner = inner
            self.alarms = 2
            self.peername, self.send, self.send_eof = inner.peername, inner.send, inner.send_eof
            self.abort, self.wait_writable = inner.abort, inner.wait_writable

        def recv_into(self, buffer: bytearray | memoryview, /) -> int:
            return self.inner.recv_into(buffer)

        async def wait_readable(self) -> None:
            if self.alarms:
                self.alarms -= 1
                await trio.lowlevel.checkpoint()
            else:
                await self.inner.wait_readable()

    server, client = memory_transport_pair()
    held = Held()
    rig = Rig(nursery, routes={"/mcp": held})
    transport = Nervous(server)
    rig.serve(transport)
    await trio.testing.wait_all_tasks_blocked()
    client.send(upgrade_request())
    websocket = await held.get()
    transport.alarms = 2
    client.send(frame(TEXT, b"x"))
    await trio.testing.wait_all_tasks_blocked()
    client.send(frame(TEXT, b"y") + close_frame(1000))
    await websocket.wait_closed()
    assert held.messages == [b"x", b"y"]


async def test_a_client_of_another_make_agrees(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    from trio_websocket import ConnectionClosed

    from mcptrio.wire.dial import dial_websocket

    rig = Rig(nursery)
    client = rig.connect()
    connection = await dial_websocket(nursery, "ws://localhost/mcp", timeout=5, stream=client.stream)
    assert connection.subprotocol == "mcp"
    for text in ("", "ä" * 70_000, "x" * 126):
        await connection.send_message(text)
        assert await connection.get_message() == text
    await connection.ping(b"there?")
    await connection.send_message(b"binary")
    with pytest.raises(ConnectionClosed) as closed:
        await connection.get_message()
    assert closed.value.reason is not None
    assert closed.value.reason.code == 1003
    assert await rig.wait_closed() == [("binary messages are not accepted", 1003)]
    assert rig.told(EventKind.REFUSED) == []


@given(st.one_of(st.binary(max_size=300), st.sampled_from([125, 126, 65_535, 65_536, 70_000]).map(bytes)))
def test_a_text_frame_is_the_librarys(payload: bytes) -> None:
    assert text_frame(payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)


_frames = st.one_of(
    st.builds(
        frame,
        st.sampled_from([TEXT, TEXT, CONT, PING, PONG, BINARY, CLOSE, 3]),
        st.one_of(st.binary(max_size=140), st.text(max_size=20).map(str.encode)),
        fin=st.booleans(),
        rsv=st.sampled_from([0, 0, 0, 1]),
        masked=st.sampled_from([True, True, True, False]),
    ),
    st.integers(0, 5001).map(close_frame),
)


def _receive_all(chunks: Sequence[bytes]) -> tuple[list[bytes], bytes, int | None, str]:
    """What a WebSocket that is fed these chunks, one read each, receives, says and ends with."""
    received: list[bytes] = []
    said = bytearray()

    async def main() -> tuple[int | None, str]:
        server, client = memory_transport_pair(1_000_000)
        limits = Limits(max_message=100, max_fragments=3)
        websocket = WebSocket(Link(server, trio.lowlevel.spawn_system_task, limits), limits=limits)
        buffer = bytearray(100_000)
        for chunk in chunks:
            if websocket.closed:
                break
            client.send(chunk)
            with trio.move_on_after(1):
                received.extend(await websocket.receive())
        client.send_eof()
        while messages := await websocket.receive():
            received.extend(messages)
        said.extend(buffer[: client.recv_into(buffer)])
        assert websocket.closed
        return websocket.close_code, websocket.close_reason

    code, reason = trio.run(main, clock=MockClock(autojump_threshold=0))
    return received, bytes(said), code, reason


@given(st.lists(_frames, max_size=8), st.data())
def test_any_bytes_mean_the_same_however_they_are_cut(frames: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(frames) + data.draw(st.binary(max_size=20))
    if not whole:
        return
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole)), max_size=6)) | {len(whole)})
    starts = [0, *cuts[:-1]]
    pieces = [whole[start:end] for start, end in zip(starts, cuts, strict=True)]
    received, said, code, _ = _receive_all([whole])
    cut_received, cut_said, cut_code, _ = _receive_all(pieces)
    assert received == cut_received
    # Whoever breaks two rules in one read may be told of either.
    assert (code, said) == (cut_code, cut_said) or {code, cut_code} & {1002, 1003, 1007, 1009}
