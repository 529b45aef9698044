"""A real directory, really watched, behind a server with two clients. Each wait is for an event, with a bound."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from mcptrio import App
from mcptrio.client import Client
from mcptrio.live import SourceState
from mcptrio.protocol import RpcError
from mcptrio.sources.files import Files, FilesSettings, files, install
from mcptrio.sources.files.watch import THREAD, Watched, open_watch, whole_paths
from tests.sources.files.disk import Bench
from tests.sources.killing import Killed, Record

DEADLINE = 20


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks are repeated until they agree, however slow the machine: what is told in doubt may be told twice."""
    monkeypatch.setattr(files, "PATIENCE", DEADLINE)


def settings_of(root: Path, **settings: object) -> FilesSettings:
    """Settings with which everything is as quick as it may be, but for what is not heard: that is an hour away."""
    return FilesSettings(name="docs", path=str(root), settle="10ms", every="1h", **settings)  # type: ignore[arg-type]


@asynccontextmanager
async def watching(root: Path, **settings: object) -> AsyncIterator[Bench]:
    """A source that is past its start, and listens."""
    bench = Bench(Files(settings_of(root, **settings)))
    opened = trio.Event()

    @asynccontextmanager
    async def opening(watched: Watched) -> AsyncIterator[object]:
        async with open_watch(watched) as watch:
            opened.set()
            yield watch

    bench.files._open_watch = opening  # type: ignore[assignment]
    with trio.fail_after(DEADLINE):
        async with bench.running():
            await opened.wait()
            yield bench


async def told(bench: Bench, *expected: tuple[str, str]) -> None:
    """Wait until so much was told, and see that it is this."""
    found = []
    for _ in expected:
        change = await bench.receive.receive()
        found.append((change.kind, change.uri.removeprefix("files://docs/")))
    assert sorted(found) == sorted(expected)


async def test_each_thing_that_happens_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b").write_text("b")
    async with watching(tmp_path) as bench:
        (tmp_path / "a").write_text("aa")
        await told(bench, ("updated", "a"))
        (tmp_path / "sub" / "b").unlink()
        await told(bench, ("deleted", "sub/b"))
        (tmp_path / "x" / "y").mkdir(parents=True)
        (tmp_path / "x" / "y" / "z").write_text("z")
        await told(bench, ("created", "x/y/z"))
        (tmp_path / "x" / "y" / "z").write_text("zz")
        await told(bench, ("updated", "x/y/z"))
        (tmp_path / "x").rename(tmp_path / "w")
        await told(bench, ("created", "w/y/z"), ("deleted", "x/y/z"))
        shutil.rmtree(tmp_path / "w")
        await told(bench, ("deleted", "w/y/z"))
        assert bench.reported() == []


@pytest.mark.parametrize("way", ["rename", "aside", "truncate"])
async def test_however_an_editor_saves_it_is_one_update(tmp_path: Path, way: str) -> None:
    note = tmp_path / "note.md"
    note.write_text("old")
    (tmp_path / "last").write_text("")
    async with watching(tmp_path) as bench:
        if way == "rename":
            (tmp_path / "note.md.tmp").write_text("new")
            (tmp_path / "note.md.tmp").replace(note)
        elif way == "aside":
            note.rename(tmp_path / "note.md~")
            (tmp_path / "4913").write_text("")
            (tmp_path / "4913").unlink()
            note.write_text("new")
            (tmp_path / "note.md~").unlink()
        else:
            note.write_text("new")
        await told(bench, ("updated", "note.md"))
        (tmp_path / "last").unlink()
        await told(bench, ("deleted", "last"))


async def test_what_is_left_out_is_neither_told_nor_looked_for(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    async with watching(tmp_path, exclude=[".*", "*.log"]) as bench:
        (tmp_path / ".git" / "x").write_text("x")
        (tmp_path / "a.log").write_text("x")
        os.symlink("/etc", tmp_path / "etc")
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "a").write_text("x")
        await told(bench, ("created", "a"))
        assert bench.reported() == []


async def test_a_directory_that_is_replaced_is_watched_again(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").write_text("a")
    async with watching(root) as bench:
        shutil.rmtree(root)
        await bench.feed.wait_while(SourceState.STARTING, SourceState.IDLE, SourceState.LIVE)
        assert bench.state == (SourceState.DEGRADED, f"{root}: No such file or directory")
        root.mkdir()
        (root / "b").write_text("b")
        await told(bench, ("created", "b"), ("deleted", "a"))
        assert bench.state == (SourceState.LIVE, "")
        (root / "b").write_text("bb")
        await told(bench, ("updated", "b"))


async def test_a_link_to_the_directory_that_leads_elsewhere_now_is_noticed(tmp_path: Path) -> None:
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "a").write_text(version)
    current = tmp_path / "current"
    current.symlink_to("1")
    async with watching(current) as bench:
        (current / "a").write_text("0")
        await told(bench, ("updated", "a"))
        (tmp_path / "new").symlink_to("2")
        (tmp_path / "new").replace(current)
        await told(bench, ("updated", "a"))
        (tmp_path / "2" / "a").write_text("3")
        await told(bench, ("updated", "a"))


async def test_a_link_that_leads_elsewhere_makes_the_watch_stale(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    current = tmp_path / "current"
    current.symlink_to("1")
    with trio.fail_after(DEADLINE):
        async with open_watch(Watched((str(current),), lambda path: False)) as watch:
            (tmp_path / "new").symlink_to("2")
            (tmp_path / "new").replace(current)
            await watch.heard()
            assert watch.stale


async def test_what_a_link_leads_to_is_not_listened_to(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root, outside):
        folder.mkdir()
    (root / "link").symlink_to(outside)
    heard: list[str] = []

    def irrelevant(path: str) -> bool:
        heard.append(path)
        return True

    with trio.fail_after(DEADLINE):
        async with open_watch(Watched((str(root),), irrelevant)):
            (outside / "x").write_text("x")
            (root / "y").write_text("y")
            while str(root / "y") not in heard:  # noqa: ASYNC110  a thread appends
                await trio.sleep(0.01)
    assert not [path for path in heard if Path(path).name == "x"]


async def test_leaving_leaves_no_thread(tmp_path: Path) -> None:
    def listening() -> bool:
        return any(thread.name == THREAD for thread in threading.enumerate())

    async with watching(tmp_path):
        assert listening()
    stop = trio.current_time() + DEADLINE
    while listening():
        assert trio.current_time() < stop
        await trio.sleep(0.01)


async def test_a_watch_that_is_refused_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import watchfiles

    def refuse(*paths: str, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(watchfiles, "watch", refuse)
    with trio.fail_after(DEADLINE):
        async with open_watch(Watched(whole_paths(str(tmp_path), [""]), lambda path: False)) as watch:
            await watch.heard()
            assert watch.fault == "No space left on device"


async def test_a_folder_that_has_gone_before_it_is_watched_is_no_fault(tmp_path: Path) -> None:
    with trio.fail_after(DEADLINE):
        async with open_watch(Watched(whole_paths(str(tmp_path), ["", "gone"]), lambda path: False)) as watch:
            await watch.heard()
            assert (watch.stale, watch.fault) == (True, "")


@asynccontextmanager
async def served(root: Path, **settings: object) -> AsyncIterator[tuple[App, Client, Client]]:
    app = App("house")
    install(app.registry, settings_of(root, **settings))
    with trio.fail_after(DEADLINE):
        async with app.connect() as one, app.connect(revision="2025-11-25") as other:
            yield app, one, other


async def test_two_clients_are_told_once_each_and_read_the_new_text(tmp_path: Path) -> None:
    (tmp_path / "ä b.md").write_text("old")
    uri = "files://docs/%C3%A4%20b.md"
    async with served(tmp_path) as (app, one, other):
        record = Record(app)
        async with one.subscribe(uri) as first, other.subscribe(uri) as second:
            assert (await one.read_resource(uri)).contents[0].text == "old"
            (tmp_path / "ä b.md").write_text("new")
            for client, changes in ((one, first), (other, second)):
                assert (await changes.__anext__()).uri == uri
                [contents] = (await client.read_resource(uri)).contents
                assert (contents.text, contents.mime_type) == ("new", "text/markdown")
                assert contents.annotations
        assert record.told() == [("updated", uri)]


async def test_the_list_has_names_sizes_and_times_and_reads_refuse_what_is_not_in_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.json").write_text("{}")
    (tmp_path / ".env").write_text("secret")
    (tmp_path / "big").write_bytes(b"x" * 100)
    os.symlink("/etc/passwd", tmp_path / "passwd")
    os.utime(tmp_path / "sub" / "a.json", (0, 0))
    async with served(tmp_path, max_size=50) as (_, one, _other):
        [listed] = [each for each in await one.list_resources() if each.uri.startswith("files:")]
        assert (listed.uri, listed.name, listed.size, listed.mime_type) == (
            "files://docs/sub/a.json",
            "sub/a.json",
            2,
            "application/json",
        )
        assert listed.annotations
        assert listed.annotations.last_modified == "1970-01-01T00:00:00+00:00"
        for path in (".env", "passwd", "nothing", "sub", "..%2fpasswd", "../passwd", "sub//a.json", "%00"):
            with pytest.raises(RpcError, match="not found"):
                await one.read_resource(f"files://docs/{path}")
        with pytest.raises(RpcError, match="is larger than 50 bytes"):
            await one.read_resource("files://docs/big")


async def test_what_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files, "read_file", refuse)
    async with served(tmp_path) as (_, one, _other):
        with pytest.raises(RpcError, match="files://docs/a cannot be read: Permission denied"):
            await one.read_resource("files://docs/a")


async def test_killed_again_and_again_it_tells_of_each_of_many_files_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    count = 60
    async with served(tmp_path) as (app, one, _):
        record = Record(app)
        async with one.subscribe("files://docs/0"):
            await one.list_resources()
            for number in range(count):
                (tmp_path / str(number)).write_text("x")
                if number % 7 == 0:
                    try:
                        app.sources.supervisor.exit_child("docs", Killed("by the test"))
                    except LookupError:
                        pass  # it is not up again yet
                await trio.sleep(0.01)
            await record.wait(count)
        assert sorted(record.told()) == sorted(
            ("created", f"files://docs/{number}") for number in range(count)
        )
    caplog.clear()
