"""What a look says to the one before, where it might say something else a moment later."""

from __future__ import annotations

import pytest

from mcptrio.sources.files.scan import File, Scan
from mcptrio.sources.files.seen import Doubts, doubts

BEFORE = File(inode=1, size=3, modified_ns=100, changed_ns=100)


@pytest.mark.parametrize(
    ("file", "young"),
    [
        pytest.param(BEFORE, False, id="as it was"),
        pytest.param(File(1, 3, 200, 200), False, id="changed some time ago"),
        pytest.param(File(1, 3, 200, 200, young=True), True, id="changed just now"),
        pytest.param(File(1, 0, 100, 100), True, id="truncated, its times not yet changed"),
        pytest.param(File(1, 0, 200, 200), False, id="truncated some time ago"),
        pytest.param(File(2, 3, 100, 100), False, id="another file with the same times"),
    ],
)
def test_what_may_be_being_written_is_looked_at_again(file: File, young: bool) -> None:
    assert doubts({"a": BEFORE}, Scan({"a": file}, {})) == Doubts(young=young)


def test_what_is_new_is_only_looked_at_again_where_it_is_young() -> None:
    assert doubts({}, Scan({"a": BEFORE}, {})) == Doubts()
    assert doubts({}, Scan({"a": File(1, 3, 100, 100, young=True)}, {})) == Doubts(young=True)


def test_what_is_missing_is_in_doubt_until_it_was_missing_twice() -> None:
    missing = doubts({"a": BEFORE}, Scan({}, {"": (1, 1)}))
    assert missing == Doubts(missing=frozenset({"a"}))
    assert not missing.settled(Doubts())
    assert missing.settled(missing)
