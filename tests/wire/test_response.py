"""The head of a response, as bytes: what h11 says of it, and what is never sent."""

from email.utils import parsedate_to_datetime
from time import time

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.wire.response import response_head

NAMES = st.sampled_from(["X-A", "MCP-Session-Id", "vary", "www-authenticate"])

SENDABLE = {"\t", *map(chr, range(0x20, 0x7F)), *map(chr, range(0x80, 0x100))}


def judge(head: bytes) -> h11.Response:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    connection.receive_data(head)
    response = connection.next_event()
    assert isinstance(response, h11.Response)
    return response


@given(
    st.integers(200, 999),
    st.lists(st.tuples(NAMES, st.text(max_size=20)), max_size=4),
)
def test_a_head_says_what_was_asked_for_or_is_not_made(status: int, headers: list[tuple[str, str]]) -> None:
    try:
        head = response_head(status, "Content-Length: 0\r\n", "text/plain", headers)
    except ValueError:
        assert not all(set(value) <= SENDABLE for _, value in headers)
        return
    assert all(set(value) <= SENDABLE for _, value in headers)
    response = judge(head)
    assert response.status_code == status
    fields = [(name.decode(), value.decode("latin-1")) for name, value in response.headers]
    assert [name for name, _ in fields[:3]] == ["date", "content-length", "content-type"]
    assert fields[3:] == [(name.lower(), value.strip(" \t")) for name, value in headers]
    assert abs(parsedate_to_datetime(fields[0][1]).timestamp() - time()) < 5


@pytest.mark.parametrize(
    "headers",
    [
        [("X", "a\r\nInjected: b")],
        [("X", "a\nb")],
        [("X", "a\0b")],
        [("X", "€")],
        [("X\r\nInjected", "b")],
        [("X:", "b")],
        [("", "b")],
        [("Connection", "close")],
        [("content-length", "5")],
        [("Transfer-Encoding", "chunked")],
    ],
)
def test_what_would_break_the_framing_is_refused(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(ValueError, match="not a valid response"):
        response_head(200, "", None, headers)


@pytest.mark.parametrize("status", [0, 99, 100, 199, 1000, -1])
def test_only_a_final_status_is_an_answer(status: int) -> None:
    with pytest.raises(ValueError, match="no final status"):
        response_head(status, "", None, ())


def test_a_content_type_is_checked_like_any_other_field() -> None:
    with pytest.raises(ValueError, match="content type"):
        response_head(200, "", "text/plain\r\nX: y", ())
