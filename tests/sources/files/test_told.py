"""What is told of a file with its changes."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from msgspec.structs import replace

from mcptrio.live import Change
from mcptrio.sources.files.scan import File
from mcptrio.sources.files.told import change_of
from tests.sources.files.disk import Bench, Disk, files_of

SEEN = File(inode=7, size=512, modified_ns=1_500_000_000, changed_ns=1_600_000_000)


def told(file: File, path: str = "src/a.py") -> Change:
    return change_of(f"files://docs/{path}", "updated", path, file, "docs")


def version(file: File) -> object:
    return (told(file).metadata or {}).get("version")


def test_a_change_has_what_the_list_tells_of_the_file() -> None:
    change = told(SEEN)
    assert (change.uri, change.kind, change.source) == ("files://docs/src/a.py", "updated", "docs")
    assert change.data == {
        "path": "src/a.py",
        "size": 512,
        "modified": "1970-01-01T00:00:01.500000+00:00",
        "type": "text/x-python",
    }
    assert change.metadata is not None and change.metadata["size"] == 512


def test_what_is_not_known_is_left_out() -> None:
    change = told(replace(SEEN, modified_ns=10**30), "README")
    assert change.data == {"path": "README", "size": 512}


@pytest.mark.parametrize("other", [{"inode": 8}, {"size": 511}, {"changed_ns": 1_600_000_001}])
def test_another_state_has_another_version(other: dict[str, int]) -> None:
    assert isinstance(version(SEEN), str)
    assert version(SEEN) == version(replace(SEEN))
    assert version(replace(SEEN, **other)) != version(SEEN)


def test_a_file_that_is_being_written_to_has_no_version() -> None:
    assert version(replace(SEEN, young=True)) is None


async def test_a_deletion_tells_what_was_seen_last(autojump_clock: trio.testing.MockClock) -> None:
    disk = Disk("a.md")
    bench = Bench(files_of(disk))
    async with bench.running():
        await trio.sleep(5)
        disk.write("a.md")
        await trio.sleep(5)
        disk.delete("a.md")
        await trio.sleep(5)
    updated, deleted = bench.receive.receive_nowait(), bench.receive.receive_nowait()
    assert (updated.kind, deleted.kind) == ("updated", "deleted")
    assert updated.data == deleted.data != None  # noqa: E711
    assert updated.metadata == deleted.metadata
    assert isinstance(deleted.data, dict) and deleted.data["path"] == "a.md"
