"""What a change may be made of."""

from datetime import UTC, datetime, timedelta

import pytest
import trio

from mcptrio.live import Change, Feed


def test_a_change_is_an_update_now_unless_it_says_otherwise() -> None:
    change = Change(uri="a:b")
    assert (change.kind, change.data, change.event_id, change.source) == ("updated", None, None, "")
    assert change.at.tzinfo is UTC
    assert abs(datetime.now(UTC) - change.at) < timedelta(minutes=1)


def test_a_change_cannot_be_altered() -> None:
    with pytest.raises(AttributeError):
        Change(uri="a:b").uri = "a:c"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("uri", "kind", "source") for value in (7, None, b"a:b", ["a:b"], True)),
        *(("event_id", value) for value in (7, b"e", ("e", 1))),
    ],
)
async def test_what_is_no_string_is_a_type_error_in_the_reporter(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=rf"{name} is a string, not {type(value).__name__}"):
        Change(**{"uri": "a:b", name: value})  # type: ignore[arg-type]
    send, receive = trio.open_memory_channel[Change](1)
    feed = Feed("mail", send)
    with pytest.raises(TypeError, match=name):
        await feed.report(Change(**{"uri": "a:b", name: value}))  # type: ignore[arg-type]
    if name in ("uri", "event_id"):
        with pytest.raises(TypeError, match=name):
            await feed.updated(**{"uri": "a:b", name: value})  # type: ignore[arg-type]
    assert receive.statistics().current_buffer_used == 0
