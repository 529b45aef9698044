"""What `serve` is to serve is found, or the person is told why not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcptrio.cli.exits import UserError
from mcptrio.cli.target import is_config, load_app

GOOD = "from mcptrio import App\napp = App('found')\nclass inner:\n    other = App('nested')\n"


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory of its own, whose modules are forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("wx_"):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("wx_good:app", "found"),
        ("wx_good", "found"),
        ("wx_good:inner.other", "nested"),
        ("wx_pack.deep:app", "found"),
    ],
)
def test_an_app_is_found_from_the_working_directory(workplace: Path, target: str, name: str) -> None:
    (workplace / "wx_good.py").write_text(GOOD)
    (workplace / "wx_pack").mkdir()
    (workplace / "wx_pack" / "deep.py").write_text(GOOD)
    assert load_app(target).name == name


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (
            GOOD,
            "wx_none:app",
            "there is no module wx_none: start mcptrio where wx_none.py is, or set PYTHONPATH",
        ),
        (GOOD, "wx_none.deep:app", "there is no module wx_none: start mcptrio where wx_none.py is"),
        (GOOD, "wx_it:ap", "wx_it has no `ap`; did you mean `app`?"),
        ("x = 1", "wx_it:app", "wx_it has no `app`: make one with `app = mcptrio.App(...)`"),
        ("x = 1", "wx_it:x", "wx_it:x is of type int, and no mcptrio.App"),
        (GOOD, "wx_it:app.name.x", "wx_it has no `app.name.x`"),
        (GOOD, "wx_it.py", "wx_it.py is a file: name the module in it, wx_it:app"),
        (GOOD, "./wx_it.py:other", "is a file: name the module in it, wx_it:other"),
        (GOOD, "wx it", "'wx it' is neither a configuration (CONFIG.toml) nor an app (module:app)"),
        (GOOD, "..", "'..' is neither a configuration (CONFIG.toml) nor an app (module:app)"),
        ("import wx_missing", "wx_it:app", "wx_it needs the module wx_missing, which is not installed ("),
        (
            "import sys\nsys.exit(3)",
            "wx_it",
            "wx_it ended the program while it was imported: SystemExit(3) (",
        ),
        ("def f(:", "wx_it:app", "wx_it.py:1: "),
        ("\n1 / 0", "wx_it:app", "wx_it failed while it was imported: ZeroDivisionError: division by zero ("),
    ],
)
def test_what_is_wrong_with_a_target_is_said(workplace: Path, source: str, target: str, message: str) -> None:
    (workplace / "wx_it.py").write_text(source)
    with pytest.raises(UserError) as caught:
        load_app(target)
    assert message in str(caught.value)


def test_a_failure_inside_the_module_names_the_line(workplace: Path) -> None:
    (workplace / "wx_it.py").write_text("\n\nraise OSError('x')")
    with pytest.raises(UserError, match=r"wx_it\.py, line 3\)$"):
        load_app("wx_it")


def test_a_declaration_that_is_refused_names_the_line_of_the_one_who_declares(workplace: Path) -> None:
    (workplace / "wx_it.py").write_text(
        "from mcptrio import App\napp = App('x')\n\n@app.resource('no uri')\nasync def f() -> str: ...\n"
    )
    with pytest.raises(UserError, match=r"DeclarationError: .*wx_it\.py, line [45]\)$"):
        load_app("wx_it")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("a.toml", True),
        ("folder/config", True),
        ("existing", True),
        ("existing.py", False),
        ("module:app", False),
        ("module", False),
    ],
)
def test_a_configuration_is_told_from_an_app(workplace: Path, target: str, expected: bool) -> None:
    (workplace / "existing").touch()
    (workplace / "existing.py").touch()
    assert is_config(target) is expected
