"""RFC 6455 as the server receives it: messages whole and in order, or the close code that says why not."""

from collections.abc import Sequence
from typing import cast

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
    Held,
    Rig,
    close_frame,
    frame,
    open_websocket,
    upgrade_request,
)


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
    rig, client, websocket, held = await open_websocket(nursery, Limits(max_message=1000, max_fragments=8))
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
    _, client, _, held = await open_websocket(nursery, Limits(max_message=1000, max_fragments=8))
    whole = b"y" * 1000
    # A ping inside a message that leaves no room for it is nobody's fault.
    parts = [frame(TEXT, whole[:999], fin=False), frame(PING, b"p" * 125)]
    parts += [frame(CONT, fin=False)] * 6 + [frame(CONT, whole[999:])]
    await client.send(frame(TEXT, whole) + b"".join(parts) + frame(TEXT, "ää".encode()))
    assert await client.frame() == (PONG, b"p" * 125)
    await client.send(close_frame(1000))
    await client.closing()
    assert held.messages == [whole, whole, "ää".encode()]


async def test_a_flooder_starves_nobody(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    _, flooder, _, held = await open_websocket(nursery)

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


async def test_many_frames_come_out_of_one_read_but_not_so_many_that_others_wait(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server, client = memory_transport_pair()
    websocket = WebSocket(Link(server, nursery.start_soon, Limits()), limits=Limits())
    for first in (0, 5000):
        numbers = [b"%d" % number for number in range(first, first + 5000)]
        client.send(b"".join(frame(TEXT, number) for number in numbers))
        received: list[list[bytes]] = []
        while sum(map(len, received)) < 5000:
            received.append(await websocket.receive())
        assert [message for messages in received for message in messages] == numbers
        assert 64 < max(map(len, received)) < 700, "a small read holds no more than that"
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
    from trio_websocket import ConnectionClosed, wrap_client_stream

    rig = Rig(nursery)
    client = rig.connect()
    stream = cast(trio.SocketStream, client.stream)
    connection = await wrap_client_stream(nursery, stream, "localhost", "/mcp", subprotocols=["mcp"])
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
