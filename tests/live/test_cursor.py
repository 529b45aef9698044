"""A cursor and its text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.live import InvalidCursor
from mcptrio.live.cursor import Cursor


@given(epoch=st.from_regex(r"[0-9a-f]{16}", fullmatch=True), offset=st.integers(0, 10**18 - 1))
def test_what_was_written_is_read(epoch: str, offset: int) -> None:
    assert Cursor.parse(str(Cursor(epoch, offset))) == Cursor(epoch, offset)


@given(text=st.text(max_size=50) | st.from_regex(r"[0-9a-f]{16}\.[0-9]{1,20}.?"))
def test_any_text_is_a_cursor_or_refused_in_one_short_line(text: str) -> None:
    try:
        cursor = Cursor.parse(text)
    except InvalidCursor as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert text == str(cursor), "one text for one cursor"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "0123456789abcdef",
        "0123456789abcdef.-1",
        "0123456789ABCDEF.1",
        "0123456789abcdef.1\n",
        "x" * 1000,
    ],
)
def test_what_has_another_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor, match="no cursor of an earlier answer") as caught:
        Cursor.parse(text)
    assert len(str(caught.value)) < 150
