"""The house check finds what it says it finds, and lets pass what has its reason beside it."""

from pathlib import Path

import house_rules
import pytest

SHIELD = "a shield without a deadline"
CHANNEL = "an unbounded memory channel"
NURSERY = "a nursery as parameter"
LONG = "is it one noun?"
VAGUE = "a name that says nothing"


def messages(root: Path, name: str, text: str) -> list[str]:
    path = root / name
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return [str(breach) for breach in house_rules.breaches(root)]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("mcptrio/live/a.py", "with trio.CancelScope(shield=True): pass", SHIELD),
        ("mcptrio/live/a.py", "scope.shield = True", SHIELD),
        ("tests/live/a.py", "with CancelScope(shield=True): pass", SHIELD),
        ("mcptrio/live/a.py", "a, b = trio.open_memory_channel(math.inf)", CHANNEL),
        ("mcptrio/live/a.py", "a, b = trio.open_memory_channel[int](math.inf)", CHANNEL),
        ("mcptrio/live/a.py", "a, b = open_memory_channel(max_buffer_size=inf)", CHANNEL),
        ("mcptrio/wire/a.py", "def f(nursery): pass", NURSERY),
        ("mcptrio/wire/a.py", "async def f(*, peer_nursery): pass", NURSERY),
        ("mcptrio/wire/a.py", "def f(home: trio.Nursery): pass", NURSERY),
        ("mcptrio/live/a.py", "a = 1\n" * 401, LONG),
        ("mcptrio/live/utils.py", "", VAGUE),
        ("mcptrio/common/a.py", "", VAGUE),
        ("tests/live/session_manager.py", "", VAGUE),
    ],
)
def test_a_broken_rule_is_reported(tmp_path: Path, name: str, text: str, expected: str) -> None:
    [message] = messages(tmp_path, name, text)
    assert message.startswith(f"{name}:")
    assert expected in message


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mcptrio/live/a.py", "with trio.move_on_after(2, shield=True): pass"),
        ("mcptrio/live/a.py", "with trio.CancelScope(shield=True, deadline=d): pass"),
        ("mcptrio/live/a.py", "with trio.CancelScope(relative_deadline=2, shield=True): pass"),
        ("mcptrio/live/a.py", "with trio.CancelScope(shield=False): pass"),
        ("mcptrio/live/a.py", "# The supervisor sets the deadline\n# when it stops.\nscope.shield = True"),
        ("mcptrio/live/a.py", "a, b = trio.open_memory_channel(16)"),
        ("mcptrio/live/a.py", "a, b = trio.open_memory_channel(math.inf)  # one item a peer"),
        ("mcptrio/supervision/a.py", "def f(nursery: trio.Nursery): pass"),
        ("mcptrio/wire/a.py", "def f(nursery: Nursery): pass  # the caller's nursery, which outlives it"),
        ("tests/live/a.py", "async def test_f(nursery): pass"),
        ("mcptrio/wire/a.py", "async def f():\n    async with trio.open_nursery() as nursery: pass"),
        ("mcptrio/live/a.py", "a = 1\n" * 400),
        ("mcptrio/live/commonplace.py", ""),
    ],
)
def test_what_keeps_the_rules_passes(tmp_path: Path, name: str, text: str) -> None:
    assert messages(tmp_path, name, text) == []


def test_the_check_fails_with_a_line_for_each_breach(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    messages(tmp_path, "mcptrio/wire/a.py", "a = 1\nscope.shield = True\ndef f(nursery): pass")
    assert house_rules.main([str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["mcptrio/wire/a.py:2", "mcptrio/wire/a.py:3"]


def test_the_check_passes_silently(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    messages(tmp_path, "mcptrio/wire/a.py", "a = 1")
    assert house_rules.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""
