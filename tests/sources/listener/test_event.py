"""What an event of a listener is reported as."""

import pytest

from mcptrio.sources.listener import Event


def test_data_and_metadata_go_with_the_change() -> None:
    change = Event(uri="a:b", id="1", data={"x": 1}, metadata={"author": "ada"}).change("chat")
    assert (change.data, change.metadata, change.source) == ({"x": 1}, {"author": "ada"}, "chat")
    assert Event(uri="a:b", id="1").change("chat").metadata is None


def test_a_version_is_told_in_the_metadata_unless_these_have_one_of_their_own() -> None:
    given = {"author": "ada"}
    assert Event(uri="a:b", id="1", version=3).change("chat").metadata == {"version": "3"}
    event = Event(uri="a:b", id="1", version=3, metadata=given)  # type: ignore[arg-type]
    assert event.change("chat").metadata == {"version": "3", "author": "ada"}
    assert given == {"author": "ada"}, "what the source gave is not changed"
    own = Event(uri="a:b", id="1", version=3, metadata={"version": "v3"})
    assert own.change("chat").metadata == {"version": "v3"}


@pytest.mark.parametrize("metadata", [["a"], "a", {1: "a"}])
def test_what_is_no_metadata_is_a_type_error_in_the_source(metadata: object) -> None:
    with pytest.raises(TypeError, match="metadata"):
        Event(uri="a:b", id="1", metadata=metadata)  # type: ignore[arg-type]
