"""What a change may be made of."""

from collections import ChainMap
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest
import trio

from mcptrio.live import Change, Feed


def test_a_change_is_an_update_now_unless_it_says_otherwise() -> None:
    change = Change(uri="a:b")
    assert (change.kind, change.data, change.event_id, change.source) == ("updated", None, None, "")
    assert change.metadata is None
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


def test_a_time_that_is_none_is_a_type_error_in_the_reporter() -> None:
    with pytest.raises(TypeError, match="at is a datetime, not str"):
        Change(uri="a:b", at="yesterday")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("metadata", "fix"),
    [
        (["version", 3], r"a dict such as \{'version': 3\}, not list: use dict\(...\)"),
        ("version", "not str"),
        ({3: "version"}, r"strings, not int: use str\(name\)"),
        ({"size": 1, None: 2}, "strings, not NoneType"),
    ],
)
async def test_metadata_that_is_no_dict_with_names_is_a_type_error_in_the_reporter(
    metadata: object, fix: str
) -> None:
    with pytest.raises(TypeError, match=fix):
        Change(uri="a:b", metadata=metadata)  # type: ignore[arg-type]
    send, receive = trio.open_memory_channel[Change](1)
    feed = Feed("mail", send)
    for report in (feed.created, feed.updated, feed.deleted):
        with pytest.raises(TypeError, match=fix):
            await report("a:b", metadata=metadata)  # type: ignore[arg-type]
    assert receive.statistics().current_buffer_used == 0


async def test_a_feed_reports_a_copy_of_the_metadata_whatever_mapping_it_is() -> None:
    send, receive = trio.open_memory_channel[Change](3)
    feed = Feed("mail", send)
    own = {"version": "3", "tags": ["urgent"]}
    for report, given in (
        (feed.created, own),
        (feed.updated, MappingProxyType(own)),
        (feed.deleted, ChainMap(own)),
    ):
        await report("a:b", data=1, metadata=given)
    own["version"] = "4"
    told = [receive.receive_nowait() for _ in range(3)]
    assert [change.kind for change in told] == ["created", "updated", "deleted"]
    for change in told:
        assert type(change.metadata) is dict
        assert (change.metadata, change.data) == ({"version": "3", "tags": ["urgent"]}, 1)
