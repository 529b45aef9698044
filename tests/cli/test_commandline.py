"""The command line: its help shows what works, and what it does not understand is said in a line."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from mcptrio import __version__
from mcptrio.cli import main
from mcptrio.cli.exits import Exit

COMMANDS = ["call", "check", "demo", "inspect", "read", "serve", "watch"]


def test_help_shows_the_commands_and_the_exit_codes(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capfd.readouterr().out
    for command in COMMANDS:
        assert f" {command} " in shown
    for code in Exit:
        assert re.search(rf"\b{code.value} ", shown[shown.index("Exit codes:") :])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    shown = capfd.readouterr().out
    assert f"mcptrio {command}" in shown
    # What comes with later features is not shown before.
    for later in ("MCP_DATA_DIR", "MCP_CACHE_TTL"):
        assert later not in shown


@pytest.mark.parametrize("arguments", [["--version"]])
def test_the_version_is_told(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert capfd.readouterr().out.strip() == __version__


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["wach"], 'Unknown command "wach"'),
        (["serve", "--prot", "1"], "Did you mean --port?"),
        (["serve", "--port", "x"], "--port"),
        (["serve"], "there is nothing to serve"),
        (["serve", "a", "b"], "b"),
        (["inspect"], "URL"),
        (["watch", "localhost:1"], "name at least one resource"),
        (["read", "localhost:1"], "URI"),
        (["call", "localhost:1"], "TOOL"),
        (["check"], "CONFIG.toml"),
        (["inspect", "localhost:1", "--revision", "2020-01-01"], "--revision"),
        (["inspect", "localhost:1", "--timeout", "0"], "--timeout must be"),
        (["inspect", "localhost:1", "--timeout", "nan"], "--timeout must be"),
        (["inspect", "ftp://x"], "ftp://x"),
        (["inspect", "http://me:pw@x"], "must not hold a user name or password"),
        (["check", "none.toml"], "none.toml: there is no such file"),
        (["demo", "--port", "99999"], "--port: expected a whole number <= 65535"),
        (["demo", "--seconds", "0"], "--seconds must be a number above 0"),
        (["demo", "--seconds", "nan"], "--seconds must be a number above 0"),
        (["demo", "--log-level", "loud"], "--log-level: `loud` is none of its values"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("mcptrio: ")
    assert told in captured.err
    assert "Traceback" not in captured.err


def test_a_wrong_log_level_in_the_environment_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MCP_LOG_LEVEL", "loud")
    assert main(["inspect", "localhost:1"]) == 2
    assert "MCP_LOG_LEVEL: `loud`" in capsys.readouterr().err


def test_help_loads_neither_the_server_nor_the_client() -> None:
    """So it is quick. A process of its own, because this one has loaded everything."""
    program = (
        "import sys; from mcptrio.cli import main; main(['--help']);"
        "print([name for name in sys.modules if name in ('trio', 'httpx', 'websockets', 'prometheus_client')])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stdout.splitlines()[-1] == "[]"


def test_ctrl_c_while_it_loads_is_no_fault() -> None:
    """A process of its own, because this one has loaded everything."""
    program = (
        "import builtins, sys\n"
        "from mcptrio.cli import main\n"
        "load = builtins.__import__\n"
        "def interrupted(name, *rest):\n"
        "    if name.startswith(sys.argv[1]):\n"
        "        raise KeyboardInterrupt\n"
        "    return load(name, *rest)\n"
        "builtins.__import__ = interrupted\n"
        "sys.exit(main(['--help']))\n"
    )
    for module in ("mcptrio.cli.exits", "mcptrio.cli.commandline", "cyclopts"):
        ended = subprocess.run(
            [sys.executable, "-c", program, module], capture_output=True, text=True, check=False, timeout=60
        )
        assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")
