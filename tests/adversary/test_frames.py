"""Broken WebSocket frames: the peer gets its close code, and nobody else notices."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from tests.adversary.rows import Closed, Gone, Refused, Row, Served
from tests.adversary.world import ALIVE, LIMITS, PATIENCE, World, open_world, rpc, text
from tests.wire.rig import BINARY, CLOSE, CONT, PING, PONG, TEXT, close_frame, frame


def _ws(sent: bytes, gets: Closed | Gone | Refused | Served) -> Row:
    return Row(sent, gets, opening="websocket")


def _split(payload: bytes, *cuts: int, between: bytes = b"") -> bytes:
    """One text message, fragmented at the cuts, with other frames between the fragments."""
    edges = [0, *cuts, len(payload)]
    pieces = [payload[start:end] for start, end in pairwise(edges)]
    frames = [
        frame(TEXT if number == 0 else CONT, piece, fin=number == len(pieces) - 1)
        for number, piece in enumerate(pieces)
    ]
    return between.join(frames)


_PING = rpc("ping", "split")
_AE = "ä".encode()

ROWS = {
    "invalid UTF-8": _ws(frame(TEXT, b"\xff\xfe"), Closed(1007)),
    "invalid UTF-8 inside a JSON string": _ws(
        frame(TEXT, b'{"jsonrpc":"2.0","id":1,"method":"\xff"}'), Closed(1007)
    ),
    "an encoded surrogate": _ws(frame(TEXT, b'"\xed\xa0\x80"'), Closed(1007)),
    "an overlong encoding": _ws(frame(TEXT, b"\xc0\xaf"), Closed(1007)),
    "beyond the last character": _ws(frame(TEXT, b"\xf4\x90\x80\x80"), Closed(1007)),
    "half a character at the end": _ws(frame(TEXT, _AE[:1]), Closed(1007)),
    "half a character in each of two fragments, wrongly": _ws(
        frame(TEXT, _AE[:1], fin=False) + frame(CONT, b"!"), Closed(1007)
    ),
    "a character split over fragments": _ws(
        _split(rpc("ping", "ä").replace(b"\\u00e4", _AE), 38) + ALIVE, Served()
    ),
    "a message in fragments": _ws(_split(_PING, 1, 2, 3, 4) + ALIVE, Served()),
    "empty fragments": _ws(_split(_PING, 0, 0, 5, 5, 5) + ALIVE, Served()),
    "pings between fragments": _ws(_split(_PING, 5, 9, between=frame(PING, b"x")), Served()),
    "pongs between fragments": _ws(_split(_PING, 5, 9, between=frame(PONG, b"x")), Served()),
    "a close between fragments": _ws(_split(_PING, 5, between=close_frame(1000)), Closed(1002)),
    "too many fragments": _ws(_split(_PING, *range(1, 9)), Closed(1009)),
    "too many empty fragments": _ws(frame(TEXT, fin=False) + frame(CONT, fin=False) * 100, Closed(1009)),
    "a continuation of nothing": _ws(frame(CONT, b"x"), Closed(1002)),
    "a message inside a message": _ws(frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), Closed(1002)),
    "a binary message": _ws(frame(BINARY, b"{}"), Closed(1003)),
    "a binary message in fragments": _ws(frame(BINARY, b"{", fin=False) + frame(CONT, b"}"), Closed(1003)),
    "an empty message": _ws(frame(TEXT), Refused([(None, -32700)])),
    "a message as big as it may be": _ws(frame(TEXT, b" " * LIMITS.max_message), Refused([(None, -32700)])),
    "a message one byte too big": _ws(frame(TEXT, b" " * (LIMITS.max_message + 1)), Closed(1009)),
    "a message too big in two fragments": _ws(
        frame(TEXT, b" " * LIMITS.max_message, fin=False) + frame(CONT, b" "), Closed(1009)
    ),
    "a header that announces too much": _ws(frame(TEXT, size=10_000_000), Closed(1009)),
    "a header that announces 2**63 - 1 bytes": _ws(frame(TEXT, size=2**63 - 1), Closed(1009)),
    "a header that announces 2**63 bytes": _ws(frame(TEXT, size=2**63), Closed(1009)),
    "a header that announces 2**64 - 1 bytes": _ws(frame(TEXT, size=2**64 - 1), Closed(1009)),
    "a length in a longer form than needed": _ws(
        b"\x81\xfe\x00\x01\x00\x00\x00\x00x", Refused([(None, -32700)])
    ),
    **{
        f"the reserved opcode {code}": _ws(frame(code), Closed(1002))
        for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    },
    **{f"the reserved bit {bit}": _ws(frame(TEXT, b"{}", rsv=bit), Closed(1002)) for bit in (1, 2, 4, 7)},
    "a reserved bit in a ping": _ws(frame(PING, rsv=4), Closed(1002)),
    "a reserved bit in a close": _ws(frame(CLOSE, rsv=1), Closed(1002)),
    "an unmasked message": _ws(frame(TEXT, b"{}", masked=False), Closed(1002)),
    "an unmasked ping": _ws(frame(PING, masked=False), Closed(1002)),
    "an unmasked close": _ws(frame(CLOSE, b"\x03\xe8", masked=False), Closed(1002)),
    "a long ping": _ws(frame(PING, b"x" * 126), Closed(1002)),
    "a huge ping": _ws(frame(PING, size=2**62), Closed(1009)),
    "a ping in fragments": _ws(frame(PING, fin=False), Closed(1002)),
    "a close in fragments": _ws(frame(CLOSE, fin=False), Closed(1002)),
    "a close without a code": _ws(frame(CLOSE), Closed(1005)),
    "a close with half a code": _ws(frame(CLOSE, b"\x03"), Closed(1002)),
    **{f"a close with {code}": _ws(close_frame(code), Closed(code)) for code in (1000, 1001, 3000, 4999)},
    **{
        f"a close with {code}, which may not be sent": _ws(close_frame(code), Closed(1002))
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535)
    },
    "a close with a long reason": _ws(close_frame(1000, b"x" * 124), Closed(1002)),
    "a close reason that is not UTF-8": _ws(close_frame(1000, b"\xff"), Closed(1007)),
    "two closes": _ws(close_frame(1000) + close_frame(1001), Closed(1000)),
    "requests behind a close": _ws(close_frame(1000) + ALIVE * 10, Closed(1000)),
    "garbage behind a close": _ws(close_frame(1000) + b"\xff" * 1000, Closed(1000)),
    "a fault and a close behind it": _ws(frame(3) + close_frame(1000), Closed(1002)),
    "a fault and requests behind it": _ws(frame(TEXT, b"\xff") + ALIVE * 10, Closed(1007)),
    "a request before a fault": _ws(text(_PING) + frame(3), Closed(1002)),
    "a pong that nobody asked for": _ws(frame(PONG, b"x" * 125), Served()),
    "a flood of pings": _ws(frame(PING, b"x" * 125) * 5000, Served()),
    "a flood of pongs": _ws(frame(PONG, b"x" * 125) * 5000, Served()),
    "a flood of empty pings": _ws(frame(PING) * 20_000, Served()),
    "half a frame and the end": Row(frame(TEXT, b"x" * 100)[:50], Gone(), opening="websocket", eof=True),
    "half a message and the end": Row(frame(TEXT, b"x", fin=False), Gone(), opening="websocket", eof=True),
    "random bytes": _ws(bytes(range(255, 127, -1)) * 20, Closed(1002)),
    "plain JSON without a frame": _ws(_PING, Closed(1002)),
    "HTTP in the place of frames": _ws(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", Closed(1002)),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
async def test_a_peer_of_a_socket_that_breaks_the_framing_gets_its_close_code(row: Row) -> None:
    async with open_world(sockets=True) as world:
        await row.play(world)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
async def test_a_peer_in_memory_that_breaks_the_framing_gets_its_close_code(
    row: Row, autojump_clock: MockClock
) -> None:
    async with open_world(sockets=False) as world:
        await row.play(world)


async def _drip(world: World) -> None:
    raw = await world.open()
    async with raw.stream:
        for byte in frame(PING, b"slow") + _split(_PING, 3, 30) + ALIVE:
            await raw.send(bytes([byte]))
        assert (await raw.frame())[1] == b"slow"
        await world.witness_is_served()
        assert "result" in await raw.answer("split")
        assert "result" in await raw.answer("alive")


async def test_a_client_of_a_socket_that_sends_one_byte_at_a_time_is_served() -> None:
    async with open_world(sockets=True) as world:
        await _drip(world)


async def test_a_client_in_memory_that_sends_one_byte_at_a_time_is_served(autojump_clock: MockClock) -> None:
    async with open_world(sockets=False) as world:
        await _drip(world)


@pytest.mark.parametrize("sockets", [True, False])
async def test_a_ping_while_the_server_closes_is_dropped_and_the_close_is_kept(sockets: bool) -> None:
    async with open_world(sockets=sockets) as world:
        raw = await world.open()
        async with raw.stream:
            await raw.send(frame(BINARY, b"x"))
            await world.witness_is_served()
            await raw.send(frame(PING, b"late") * 100 + ALIVE + close_frame(1000) + close_frame(1000))
            with trio.fail_after(PATIENCE):
                assert await raw.close_code() == 1003
