"""Which paths count."""

import fnmatch
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.sources.files.selection import Glob, Selection
from mcptrio.sources.files.settings import HIDDEN


@pytest.mark.parametrize(
    ("glob", "matches", "others"),
    [
        ("*.md", ["a.md", "x/a.md", "x/y/.md"], ["a.mdx", "a.md/b"]),
        ("drafts", ["drafts", "x/drafts"], ["drafts/x", "drafts2"]),
        ("drafts/*.md", ["drafts/a.md"], ["a.md", "x/drafts/a.md", "drafts/x/a.md"]),
        ("/drafts/a", ["drafts/a"], ["x/drafts/a"]),
        ("drafts/**", ["drafts/a", "drafts/a/b", "drafts"], ["x/drafts/a"]),
        ("**/*.md", ["a.md", "x/a.md", "x/y/a.md"], ["a.txt"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["a/xb", "b", "a"]),
        ("a/**/**/b", ["a/b", "a/x/b"], ["a"]),
        ("**", ["a", "a/b"], []),
        ("?[0-9].txt", ["a1.txt", "x/b2.txt"], ["ab.txt", "1.txt"]),
        ("[!a]*", ["b", "x/b"], ["a", "x/a"]),
        ("build/", ["build", "x/build"], ["builds"]),
        ("[", ["[", "x/["], ["a"]),
    ],
)
def test_a_glob_matches_names_or_whole_paths(glob: str, matches: list[str], others: list[str]) -> None:
    assert [path for path in matches if not Glob(glob).match(path)] == []
    assert [path for path in others if Glob(glob).match(path)] == []


@given(st.text("ab*?[]!.", min_size=1, max_size=12), st.text("ab.", min_size=1, max_size=12))
def test_within_a_name_it_is_fnmatch(glob: str, name: str) -> None:
    if glob not in (".", "..", "**"):
        assert Glob(glob).match(name) == fnmatch.fnmatchcase(name, glob)


def test_matching_takes_no_time_however_it_is_written() -> None:
    glob = Glob("/".join(["**", "*a*a*a*a*a*a*b"] * 10))
    begin = time.perf_counter()
    assert not glob.match("/".join(["a" * 80] * 25))
    assert time.perf_counter() - begin < 1


def test_a_path_of_a_thousand_names_is_judged_at_once() -> None:
    # Clients write them, and they are judged on Trio's thread.
    selection = Selection(["**/*.md"], ["**/node_modules/**", "**/a/**/b", *HIDDEN], recursive=True)
    path = "/".join(["a"] * 1000)
    begin = time.process_time()
    for _ in range(10):
        assert not selection.admits(path) and not selection.irrelevant(path)
    assert time.process_time() - begin < 1


def test_what_is_left_out_takes_all_below_with_it() -> None:
    selection = Selection(["*.md"], ["private", *HIDDEN], recursive=True)
    assert selection.admits("a.md") and selection.admits("x/y.md")
    for path in ("a.txt", "private/a.md", "x/private/y/a.md", ".git/a.md", ".a.md", "x/.y/a.md", "a.md~"):
        assert not selection.admits(path), path
    assert selection.irrelevant("private/x") and not selection.irrelevant("x/a.txt")


@pytest.mark.parametrize(
    "path", ["", "/", "/etc/passwd", "..", "../a", "a/../b", "a/..", ".", "./a", "a//b", "a/", "a\0b"]
)
def test_what_is_no_plain_path_is_not_admitted(path: str) -> None:
    assert not Selection(["*", "**"], [], recursive=True).admits(path)


def test_without_folders_only_the_directorys_own_files_count() -> None:
    selection = Selection(["*"], [], recursive=False)
    assert selection.admits("a") and not selection.admits("a/b")
