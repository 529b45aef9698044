"""How much JSON goes with a change."""

import msgspec
import pytest

from mcptrio.sources.json_data import MOST_DATA, json_data


def test_json_goes_with_a_change_up_to_a_length_and_nothing_is_no_data() -> None:
    assert json_data(b'{"a":[1,null]}') == {"a": [1, None]}
    assert json_data(b"") is None
    longest = b"1" + b" " * (MOST_DATA - 1)
    assert json_data(longest) == 1
    assert json_data(longest + b" ") is None
    with pytest.raises(msgspec.DecodeError):
        json_data(b"{")
