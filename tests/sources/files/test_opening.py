"""Only regular files below the directory are opened, whatever lies about and whoever moves it meanwhile."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mcptrio.sources.files.opening import NoSuchFile, open_file
from mcptrio.sources.files.scan import Limits, Scanner
from mcptrio.sources.files.selection import Selection
from mcptrio.sources.files.settings import FilesSettings

SECRET = "the secret"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with a file in a folder, and a secret beside it."""
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "b").write_text(SECRET)
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "a" / "b").write_text("b")
    return root


def read(root: Path, path: str) -> str:
    with open(open_file(str(root), path)) as file:
        return file.read()


def scanned(root: Path) -> list[str]:
    settings = FilesSettings(name="x", path=str(root), exclude=[])
    scanner = Scanner(str(root), Selection(["*"], [], recursive=True), Limits(10, 100), settings.uri_of, "x")
    return list(scanner.scan().files)


def test_a_file_in_a_folder_is_opened(root: Path) -> None:
    assert read(root, "a/b") == "b"


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.symlink_to("../secret"),
        lambda path: path.symlink_to("/etc/passwd"),
        lambda path: path.symlink_to("a/b"),
        lambda path: path.symlink_to(path),
        lambda path: path.symlink_to("nothing"),
        lambda path: os.mkfifo(path),
        lambda path: path.mkdir(),
        bind,
        lambda path: None,
    ],
    ids=["out", "absolute", "within", "itself", "nowhere", "fifo", "folder", "socket", "nothing"],
)
def test_what_is_no_regular_file_is_none_and_opening_it_never_waits(
    root: Path, make: Callable[[Path], object]
) -> None:
    make(root / "x")
    with pytest.raises(NoSuchFile):
        open_file(str(root), "x")
    assert scanned(root) == ["a/b"]


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="there is no device")
def test_a_device_is_none() -> None:
    with pytest.raises(NoSuchFile):
        open_file("/dev", "null")


@pytest.mark.parametrize("target", ["../outside", "/etc", "."])
def test_a_linked_folder_leads_nowhere(root: Path, target: str) -> None:
    (root / "link").symlink_to(target)
    for path in ("link/b", "link/passwd", "link/a/b"):
        with pytest.raises(NoSuchFile):
            open_file(str(root), path)
    assert scanned(root) == ["a/b"]


def test_a_directory_may_itself_be_linked_to(root: Path) -> None:
    link = root.parent / "link"
    link.symlink_to(root)
    assert read(link, "a/b") == "b"
    assert scanned(link) == ["a/b"]


def test_no_descriptor_is_left_open(root: Path) -> None:
    (root / "link").symlink_to("a")
    before = sorted(os.listdir("/proc/self/fd"))
    for path in ("a/b", "link/b", "a", "a/c", "c/b", "a/b/c", "x" * 300):
        try:
            os.close(open_file(str(root), path))
        except NoSuchFile:
            pass
    scanned(root)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_folder_that_is_swapped_for_a_link_meanwhile_never_leads_out(root: Path) -> None:
    done = threading.Event()
    aside, link, folder = root / "aside", root / "link", root / "a"
    link.symlink_to("../outside")

    def swap() -> None:
        while not done.is_set():
            folder.rename(aside)
            link.rename(folder)
            folder.rename(link)
            aside.rename(folder)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        found = 0
        for _ in range(3000):
            try:
                assert read(root, "a/b") == "b"
                found += 1
            except NoSuchFile:
                pass
            assert set(scanned(root)) <= {"a/b", "aside/b"}
    finally:
        done.set()
        swapping.join()
    assert found
