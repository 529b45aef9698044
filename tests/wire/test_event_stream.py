"""What clients read from an event stream, judged by another reader of such streams."""

from __future__ import annotations

import itertools

import httpx
import httpx_sse
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mcptrio.wire.event_stream import EventDecoder, EventTooBig


def read(stream: bytes, cuts: list[int]) -> tuple[list[bytes], EventDecoder]:
    decoder = EventDecoder(10_000)
    events: list[bytes] = []
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    for start, end in itertools.pairwise(places):
        events += decoder.feed(stream[start:end])
    return events, decoder


def judged(stream: bytes) -> tuple[list[bytes], bytes | None, float | None]:
    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=stream)
    events: list[bytes] = []
    last_id: bytes | None = None
    retry = None
    for each in httpx_sse.EventSource(response).iter_sse():
        if each.data and each.event in ("message", ""):
            events.append(each.data.encode())
        last_id = each.id.encode() or None
        retry = each.retry / 1000 if each.retry is not None else retry
    return events, last_id, retry


LINES = st.sampled_from(
    [
        *(
            "data: one",
            "data:two",
            "data",
            "data:  three",
            "id: 7",
            "id: 8",
            "retry: 250",
            "retry: soon",
        ),
        *(
            "event: message",
            "event: other",
            ": comment",
            ":",
            "nonsense",
            "x: y",
            "",
            "",
            "",
            "data: \u00e9\u2028",
        ),
    ]
)
ENDS = st.sampled_from(["\n", "\n", "\r\n", "\r"])


@given(st.lists(st.tuples(LINES, ENDS), max_size=20), st.lists(st.integers(0, 200), max_size=6))
@example([("data: a", "\r"), ("", "\r\n")], [8])
def test_it_reads_what_another_reader_reads_wherever_the_bytes_are_cut(
    lines: list[tuple[str, str]], cuts: list[int]
) -> None:
    stream = "".join(line + end for line, end in lines).encode()
    # The judge takes what was not ended by an empty line for nothing too, but remembers its id and its retry.
    stream += b"\n\n"
    events, decoder = read(stream, cuts)
    assert (events, decoder.last_id, decoder.retry) == judged(stream)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_any_bytes_are_read_the_same_in_any_pieces(stream: bytes, cuts: list[int]) -> None:
    whole, one = read(stream, [])
    pieces, other = read(stream, cuts)
    assert (whole, one.last_id, one.retry) == (pieces, other.last_id, other.retry)


def test_an_event_that_has_not_ended_is_not_given_out_nor_resumed_after() -> None:
    decoder = EventDecoder(1000)
    assert decoder.feed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n") == [b"a"]
    assert decoder.last_id == b"1"
    assert decoder.feed(b"\n") == [b"b"]
    assert decoder.last_id == b"2"


def test_an_empty_id_means_that_there_is_nothing_to_resume_after() -> None:
    decoder = EventDecoder(1000)
    assert decoder.feed(b"id: 1\ndata: a\n\nid\n\n") == [b"a"]
    assert decoder.last_id is None


def test_an_event_without_data_sets_where_to_resume() -> None:
    decoder = EventDecoder(1000)
    assert decoder.feed(b"id: first\nretry: 1500\ndata:\n\n") == []
    assert (decoder.last_id, decoder.retry) == (b"first", 1.5)


@pytest.mark.parametrize("start", [b"\xef\xbb\xbf", b""])
def test_a_byte_order_mark_is_passed_over(start: bytes) -> None:
    decoder = EventDecoder(1000)
    events: list[bytes] = []
    for byte in start + b"data: \xef\xbb\xbfx\n\n":
        events += decoder.feed(bytes([byte]))
    assert events == [b"\xef\xbb\xbfx"]


@pytest.mark.parametrize("stream", [b"data: " + b"x" * 200, b"data: 0123456789\n" * 11, b":" + b"x" * 101])
def test_what_is_larger_than_the_bound_is_refused(stream: bytes) -> None:
    with pytest.raises(EventTooBig, match="100 bytes"):
        EventDecoder(100).feed(stream)


def test_comments_between_events_cost_nothing() -> None:
    decoder = EventDecoder(100)
    for _ in range(1000):
        assert decoder.feed(b": keep-alive\n\n") == []
    assert decoder.feed(b"data: x\n\n") == [b"x"]
