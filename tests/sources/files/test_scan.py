"""A look at a real directory."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mcptrio.sources.files.scan import YOUNG, RootGone, Scan, Scanner
from mcptrio.sources.files.scan import Limits as Bounds
from mcptrio.sources.files.settings import FilesSettings


def scan(root: Path, **settings: object) -> Scan:
    made = FilesSettings(name="docs", path=str(root), **settings)  # type: ignore[arg-type]
    limits = Bounds(made.max_files, made.max_size)
    return Scanner(str(root), made.selection(), limits, made.uri_of, "/docs").scan()


def write(root: Path, *paths: str, data: str = "x") -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(data)


def test_files_come_folder_by_folder_with_size_and_time(tmp_path: Path) -> None:
    write(tmp_path, "b", "a/z", "a/y/x", "c", data="four")
    os.utime(tmp_path / "b", ns=(0, 1_700_000_000_123_456_789))
    found = scan(tmp_path)
    assert list(found.files) == ["b", "c", "a/z", "a/y/x"]
    assert (found.files["b"].size, found.files["b"].modified_ns) == (4, 1_700_000_000_123_456_789)
    assert sorted(found.folders) == ["", "a", "a/y"]
    assert (found.blind, found.problem) == (frozenset(), "")


def test_what_was_written_just_now_is_young_and_not_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "a")
    written = scan(tmp_path).files["a"].changed_ns
    for later, young in ((0, True), (YOUNG - 1, True), (YOUNG, False), (YOUNG + 1, False), (-YOUNG, False)):
        monkeypatch.setattr(time, "time_ns", lambda now=written + later: now)
        assert scan(tmp_path).files["a"].young == young, later


def test_what_is_written_during_a_look_is_young_however_long_that_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "a")
    tell = time.time_ns
    began = iter([tell() - 10_000_000_000])
    monkeypatch.setattr(time, "time_ns", lambda: next(began, None) or tell())
    assert scan(tmp_path).files["a"].young


def test_folders_that_are_left_out_are_not_looked_into(tmp_path: Path) -> None:
    write(tmp_path, "a", ".git/x", "node_modules/y", "a~", "sub/b", "sub/.hidden")
    found = scan(tmp_path, exclude=[".*", "*~", "node_modules"])
    assert list(found.files) == ["a", "sub/b"]
    assert sorted(found.folders) == ["", "sub"]
    assert list(scan(tmp_path, recursive=False).files) == ["a"]
    assert list(scan(tmp_path, include=["sub/*"]).files) == ["sub/b"]
    assert ".git/x" in scan(tmp_path, exclude=[]).files


def test_what_is_too_large_or_too_much_is_left_out_and_said(tmp_path: Path) -> None:
    write(tmp_path, "a", "b", "c")
    write(tmp_path, "big", data="x" * 11)
    found = scan(tmp_path, max_size=10)
    assert list(found.files) == ["a", "b", "c"]
    assert found.problem == "/docs: 1 left out: 'big' is larger than `max_size`, 10 bytes"
    found = scan(tmp_path, max_files=2)
    assert list(found.files) == ["a", "b"]
    assert found.problem == "/docs: there are more than 2 files (see `max_files`)"


def test_a_flood_of_names_ends_the_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bounds, "entries", 3)
    write(tmp_path, "a", "sub/b", "sub/c", "sub/d")
    found = scan(tmp_path)
    assert list(found.files) == ["a"]
    assert found.problem.startswith("/docs: there are more than 3 names: exclude folders")


def test_names_that_make_no_uri_are_left_out_and_said(tmp_path: Path) -> None:
    for name in (b"\xff", b"caf\xe9"):
        (Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))).write_text("x")
    write(tmp_path, "a", "\n", "ä" * 100)
    deep = tmp_path
    for _ in range(3):
        deep = deep / ("ä" * 120)
    write(deep, "far")
    found = scan(tmp_path)
    assert sorted(found.files) == ["\n", "a", "ä" * 100]
    assert found.problem.startswith("/docs: 3 left out: ")
    assert "has a name that is no UTF-8" in found.problem
    assert "makes no URI: the URI has " in found.problem
    assert found.problem.isascii() and found.problem.isprintable()


def test_what_may_not_be_read_is_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # By a fake, because tests may be run by somebody who may read everything.
    write(tmp_path, "a", "b")
    monkeypatch.setattr(os, "access", lambda name, mode, **more: name != "b")
    found = scan(tmp_path)
    assert list(found.files) == ["a"]
    assert found.problem == "/docs: 1 left out: 'b' cannot be read: Permission denied"


def test_a_folder_that_may_not_be_looked_into_is_said_and_nothing_known_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "a", "sub/b")
    plain = os.open

    def refuse(path: str, flags: int, **more: int) -> int:
        if path == "sub":
            raise PermissionError(13, "Permission denied")
        return plain(path, flags, **more)

    monkeypatch.setattr(os, "open", refuse)
    found = scan(tmp_path)
    assert list(found.files) == ["a"]
    assert found.blind == {"sub"}
    assert found.problem == "/docs: 1 left out: 'sub' cannot be looked into: Permission denied"


def test_a_directory_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(RootGone, match=r"^/docs: No such file or directory$") as caught:
        scan(tmp_path / "gone")
    assert not caught.value.lasting
    write(tmp_path, "file")
    with pytest.raises(RootGone, match=r"^/docs: Not a directory$") as caught:
        scan(tmp_path / "file")
    assert caught.value.lasting
