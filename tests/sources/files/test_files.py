"""What a source of files announces, in virtual time, of a directory that is only told of."""

from __future__ import annotations

from collections import Counter

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.live import SourceState
from mcptrio.sources.files import files
from mcptrio.sources.files.scan import RootGone
from tests.sources.files.disk import Bench, Disk, files_of

MockClock = trio.testing.MockClock
LIVE = (SourceState.LIVE, "")


async def test_the_first_look_is_a_baseline_and_announces_nothing(autojump_clock: MockClock) -> None:
    bench = Bench(files_of(Disk("a", "b c")))
    await bench.run(200)
    assert bench.reported() == []
    assert bench.states == [LIVE]
    assert [each.uri for each in await bench.files.list_files()] == ["files://docs/a", "files://docs/b%20c"]


async def test_what_is_created_updated_and_deleted_is_announced(autojump_clock: MockClock) -> None:
    disk = Disk("a", "b")
    bench = Bench(files_of(disk))
    async with bench.running():
        await trio.sleep(5)
        disk.write("b")
        disk.write("c")
        disk.delete("a")
        await trio.sleep(1)
        assert bench.reported() == [("updated", "b"), ("created", "c"), ("deleted", "a")]
        assert [each.name for each in await bench.files.list_files()] == ["b", "c"]
        await trio.sleep(200)
        assert bench.reported() == []


async def test_nothing_is_looked_at_while_nothing_happens(autojump_clock: MockClock) -> None:
    disk = Disk("a")
    bench = Bench(files_of(disk, every="10m"))
    async with bench.running():
        await trio.sleep(1)
        looks = len(disk.looks)
        await trio.sleep(598)
        assert len(disk.looks) == looks
        await trio.sleep(5)
        assert len(disk.looks) == looks + 1


async def test_a_look_waits_for_silence_but_not_for_ever(autojump_clock: MockClock) -> None:
    disk = Disk("a")
    bench = Bench(files_of(disk))
    async with bench.running():
        await trio.sleep(5)
        looks = len(disk.looks)
        for _ in range(8):
            disk.write("a")
            await trio.sleep(0.09)
        assert len(disk.looks) == looks
        await trio.sleep(1)
        assert bench.reported() == [("updated", "a")]
        for _ in range(100):
            disk.write("a")
            await trio.sleep(0.09)
        assert 4 <= len(bench.reported()) <= 10


@pytest.mark.parametrize("gap", [0.0, 0.05, 0.15])
async def test_a_file_that_is_put_aside_and_written_anew_is_updated(
    autojump_clock: MockClock, gap: float
) -> None:
    disk = Disk("a")
    bench = Bench(files_of(disk))
    async with bench.running():
        await trio.sleep(5)
        disk.delete("a")
        await trio.sleep(gap)
        disk.write("a")
        await trio.sleep(5)
    assert bench.reported() == [("updated", "a")]


async def test_a_write_that_leaves_no_trace_in_the_times_of_a_young_file_is_not_lost(
    autojump_clock: MockClock,
) -> None:
    disk = Disk("a")
    bench = Bench(files_of(disk))
    async with bench.running():
        await trio.sleep(5)
        disk.write("a", young=True)
        await trio.sleep(0.35)
        assert bench.reported() == []
        disk.rest()
        await trio.sleep(1)
        assert bench.reported() == [("updated", "a")]
        # One that is written to all the time is announced after a while, and once more when it rests.
        disk.write("a", young=True)
        await trio.sleep(3)
        assert bench.reported() == [("updated", "a")]
        disk.rest()
        disk.tell()
        await trio.sleep(3)
        assert bench.reported() == [("updated", "a")]


async def test_what_was_not_heard_is_found_by_a_look_every_so_often(autojump_clock: MockClock) -> None:
    disk = Disk("a")
    disk.heard = False
    bench = Bench(files_of(disk, every="30s"))
    async with bench.running():
        await trio.sleep(1)
        disk.write("a")
        disk.write("b")
        await trio.sleep(31)
        assert bench.reported() == [("updated", "a"), ("created", "b")]


async def test_what_happens_while_no_task_runs_is_announced_by_the_next(autojump_clock: MockClock) -> None:
    disk = Disk("a", "b")
    bench = Bench(files_of(disk))
    await bench.run(5)
    disk.write("a")
    disk.delete("b")
    await bench.run(5)
    assert bench.reported() == [("updated", "a"), ("deleted", "b")]


async def test_new_folders_are_watched_and_looked_into_again(autojump_clock: MockClock) -> None:
    disk = Disk("a")
    bench = Bench(files_of(disk))
    async with bench.running():
        await trio.sleep(5)
        assert disk.watched == [("/srv/docs",)]
        disk.folders["sub"] = (1, 2)
        disk.tell()
        await trio.sleep(0.15)
        disk.heard = False  # written between the look that found the folder and the watch of it
        disk.write("sub/x")
        disk.heard = True
        await trio.sleep(1)
        assert disk.watched == [("/srv/docs",), ("/srv/docs", "/srv/docs/sub")]
        assert bench.reported() == [("created", "sub/x")]
        disk.tell(stale=True)
        await trio.sleep(1)
        assert len(disk.watched) == 3
        disk.folders["sub"] = (1, 3)
        disk.tell()
        await trio.sleep(1)
        assert len(disk.watched) == 4


async def test_a_directory_that_has_gone_is_a_state_and_comes_back(autojump_clock: MockClock) -> None:
    disk = Disk("a", "b")
    bench = Bench(files_of(disk))
    async with bench.running():
        await trio.sleep(5)
        disk.gone = RootGone("/srv/docs: No such file or directory", lasting=False)
        disk.tell(stale=True)
        await trio.sleep(100)
        assert bench.state == (SourceState.DEGRADED, "/srv/docs: No such file or directory")
        assert bench.reported() == []
        assert bench.feed.as_of is not None
        assert len(disk.looks) < 60
        disk.gone = None
        disk.write("b")
        await trio.sleep(10)
        assert bench.state == LIVE
        assert bench.reported() == [("updated", "b")]


async def test_what_somebody_has_to_repair_is_a_failure(autojump_clock: MockClock) -> None:
    disk = Disk("a")
    disk.gone = RootGone("/srv/docs: Not a directory", lasting=True)
    bench = Bench(files_of(disk))
    async with bench.running():
        await trio.sleep(10)
        assert bench.states == [(SourceState.FAILED, "/srv/docs: Not a directory")]
        disk.gone = None
        await trio.sleep(10)
        assert bench.state == LIVE
        assert bench.reported() == [("created", "a")], "somebody may have looked for it in vain"


async def test_what_is_left_out_is_said_and_the_rest_is_current(autojump_clock: MockClock) -> None:
    disk = Disk("a")
    disk.problem = "/srv/docs: 1 left out: 'big' is larger"
    bench = Bench(files_of(disk))
    async with bench.running():
        await trio.sleep(5)
        assert bench.state == (SourceState.DEGRADED, disk.problem)
        assert bench.feed.as_of is None
        disk.problem = ""
        disk.tell()
        await trio.sleep(5)
        assert bench.state == LIVE


async def test_of_a_folder_that_cannot_be_looked_into_nothing_is_announced(autojump_clock: MockClock) -> None:
    disk = Disk("a", "sub/b", "sub/deep/c")
    bench = Bench(files_of(disk))
    async with bench.running():
        await trio.sleep(5)
        kept = {path: disk.files.pop(path) for path in ("sub/b", "sub/deep/c")}
        disk.blind = frozenset({"sub"})
        disk.tell()
        await trio.sleep(5)
        assert bench.reported() == []
        disk.files["sub/b"] = kept["sub/b"]
        disk.blind = frozenset()
        disk.tell()
        await trio.sleep(5)
        assert bench.reported() == [("deleted", "sub/deep/c")]


async def test_without_a_watch_it_is_looked_at_now_and_then_and_the_watch_tried_again(
    autojump_clock: MockClock,
) -> None:
    disk = Disk("a")
    disk.fault = "No space left on device"
    bench = Bench(files_of(disk, every="10s"))
    async with bench.running():
        await trio.sleep(5)
        state, why = bench.state
        assert state is SourceState.DEGRADED
        assert why == "/srv/docs cannot be watched (No space left on device): it is looked at every 10 s"
        assert bench.feed.as_of is None
        disk.write("a")
        await trio.sleep(10)
        assert bench.reported() == [("updated", "a")]
        disk.fault = ""
        await trio.sleep(10)
        assert bench.state == LIVE
    assert len(disk.watched) == 3


async def test_a_list_before_the_first_look_makes_that_one_announce(autojump_clock: MockClock) -> None:
    bench = Bench(files_of(Disk("a")))
    assert await bench.files.list_files() == []
    await bench.run(5)
    assert bench.reported() == [("created", "a")]


async def test_a_full_channel_and_a_cut_lose_nothing(autojump_clock: MockClock) -> None:
    disk = Disk()
    bench = Bench(files_of(disk), capacity=1)
    await bench.run(5)
    for name in "abcde":
        disk.write(name)
    told: list[tuple[str, str]] = []
    for _ in range(5):
        await bench.run(5)
        told += bench.reported()
    assert told == [("created", name) for name in "abcde"]


async def test_many_files_are_compared_and_listed_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BIG", 1)
    disk = Disk("a", "b")
    bench = Bench(files_of(disk, settle="10ms"))
    with trio.fail_after(20):
        async with bench.running():
            await bench.feed.wait_started()
            assert [each.name for each in await bench.files.list_files()] == ["a", "b"]
            disk.delete("a")
            assert (await bench.receive.receive()).kind == "deleted"
            first, second = await bench.files.list_files(), await bench.files.list_files()
            assert [each.name for each in first] == ["b"]
            assert first == second and first is not second


_STEP = st.tuples(
    st.sampled_from(["write", "delete", "unheard", "cut", "gone", "back"]), st.sampled_from("abc")
)


@given(st.lists(_STEP, max_size=12), st.lists(st.floats(0.0, 3.0), min_size=12, max_size=12))
def test_whatever_happens_the_changes_add_up_to_what_is_there(
    steps: list[tuple[str, str]], pauses: list[float]
) -> None:
    async def main() -> None:
        disk = Disk("a", "b")
        bench = Bench(files_of(disk))
        known, last = {"a", "b"}, dict(disk.files)
        told: Counter[str] = Counter()
        writes: Counter[str] = Counter()
        await bench.run(5)
        todo = list(zip(steps, pauses, strict=False))
        while todo:
            async with bench.running():
                while todo:
                    (what, path), pause = todo.pop(0)
                    disk.heard = what != "unheard"
                    if what in ("write", "unheard"):
                        disk.write(path)
                        writes[path] += 1
                    elif what == "delete" and path in disk.files:
                        disk.delete(path)
                        writes[path] += 1
                    elif what == "gone":
                        disk.gone = RootGone("gone", lasting=False)
                        disk.tell()
                    elif what == "back":
                        disk.gone = None
                    await trio.sleep(pause)
                    if what == "cut":
                        break
        disk.gone, disk.heard = None, True
        await bench.run(100)
        for kind, path in bench.reported():
            assert (kind == "created") == (path not in known), (kind, path)
            known = known - {path} if kind == "deleted" else known | {path}
            told[path] += 1
        assert known == set(disk.files)
        for path in "abc":
            assert told[path] <= writes[path], "nothing is announced twice"
            if disk.files.get(path) != last.get(path):
                assert told[path] >= 1

    trio.run(main, clock=MockClock(autojump_threshold=0))
