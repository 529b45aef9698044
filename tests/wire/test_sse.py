"""Chunks and events, as bytes."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.wire.sse import LAST_CHUNK, chunk, event, event_frame, unchunk

PIECES = st.lists(st.binary(min_size=1, max_size=300), max_size=8)
LINES = st.binary(max_size=400).filter(lambda data: b"\n" not in data and b"\r" not in data)


@given(PIECES)
def test_chunks_are_understood_by_another_and_by_ourselves(pieces: list[bytes]) -> None:
    frames = b"".join(chunk(piece) for piece in pieces)
    assert unchunk(frames) == b"".join(pieces)
    judge = h11.Connection(h11.CLIENT)
    judge.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    judge.send(h11.EndOfMessage())
    judge.receive_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + frames + LAST_CHUNK)
    got = b""
    while not isinstance(found := judge.next_event(), h11.EndOfMessage):
        if isinstance(found, h11.Data):
            got += found.data
    assert got == b"".join(pieces)
    assert judge.trailing_data == (b"", False)


def test_an_empty_chunk_would_be_the_last() -> None:
    with pytest.raises(ValueError, match="would end"):
        chunk(b"")


def test_an_event_has_its_lines_in_order() -> None:
    assert event(b"{}") == b"data: {}\n\n"
    assert event(b"", id="s-1", retry=500) == b"id: s-1\nretry: 500\ndata: \n\n"
    assert event(b"x", id="") == b"id: \ndata: x\n\n"


@given(LINES)
def test_the_short_way_to_an_event_in_a_chunk_is_the_long_one(payload: bytes) -> None:
    assert event_frame(payload) == chunk(event(payload))


@pytest.mark.parametrize("id", ["a\nb", "a\rb", "a\0b"])
def test_an_id_cannot_begin_another_line(id: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        event(b"x", id=id)
