"""What a change may be made of."""

from datetime import UTC, datetime, timedelta

import pytest

from mcptrio.live import Change


def test_a_change_is_an_update_now_unless_it_says_otherwise() -> None:
    change = Change(uri="a:b")
    assert (change.kind, change.data, change.event_id, change.source) == ("updated", None, None, "")
    assert change.at.tzinfo is UTC
    assert abs(datetime.now(UTC) - change.at) < timedelta(minutes=1)


def test_a_change_cannot_be_altered() -> None:
    with pytest.raises(AttributeError):
        Change(uri="a:b").uri = "a:c"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("uri", "event_id", "name"), [(7, None, "uri"), (None, None, "uri"), ("a:b", 7, "event_id")]
)
def test_a_uri_and_an_event_id_are_strings(uri: object, event_id: object, name: str) -> None:
    with pytest.raises(TypeError, match=name):
        Change(uri=uri, event_id=event_id)  # type: ignore[arg-type]
