"""`mcptrio check`: every value with its origin, and never a secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcptrio.cli import main

TEXT = """\
[server]
port = 9000

[[source]]
kind = "poller"
name = "releases"
url = "http://me:hunter2@127.0.0.1:8000/releases.json?token=hunter2"
uri = "releases://all"

[source.headers]
X-Plain = "hunter2"
Authorization = { env = "RELEASES_TOKEN" }
X-Other = { file = "token.txt" }
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    for name in ("MCP_LOG_LEVEL", "MCP_MAX_CONNECTIONS", "RELEASES_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    Path("mcptrio.toml").write_text(TEXT)
    return "mcptrio.toml"


def test_each_value_has_its_origin(
    config: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_LOG_LEVEL", "debug")
    monkeypatch.setenv("RELEASES_TOKEN", "hunter2")
    Path("token.txt").write_text("hunter2")
    assert main(["check", config, "--host", "localhost"]) == 0
    shown = capfd.readouterr()
    lines = [line.split() for line in shown.out.splitlines()]
    assert ["server.host", '"localhost"', "flag", "--host"] in lines
    assert ["server.log_level", '"debug"', "environment", "MCP_LOG_LEVEL"] in lines
    assert ["server.port", "9000", "file", "mcptrio.toml:2"] in lines
    assert ["server.name", '"mcptrio"', "default"] in lines
    assert shown.out.endswith("mcptrio.toml: valid\n")
    assert shown.err == ""


def test_no_secret_is_shown_and_a_missing_one_is_told(
    config: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELEASES_TOKEN", "hunter2")
    assert main(["check", config, "--json"]) == 2
    shown, told = capfd.readouterr()
    assert "hunter2" not in shown + told
    assert (
        "mcptrio.toml:4: source[0]: source 'releases', header X-Other: the file token.txt cannot be read"
        in told
    )
    rows = {row["key"]: row["value"] for row in json.loads(shown)}
    assert rows["source[0].headers"] == {
        "X-Plain": "***",
        "Authorization": "<env RELEASES_TOKEN>",
        "X-Other": "<file token.txt, not there now>",
    }
    assert rows["source[0].url"] == "http://***@127.0.0.1:8000/releases.json?token=***"


def test_a_wrong_configuration_has_exit_code_2_and_a_line_for_each_problem(
    config: str, capfd: pytest.CaptureFixture[str]
) -> None:
    Path(config).write_text("[server]\nprot = 1\nport = 'x'\n")
    assert main(["check", config]) == 2
    shown = capfd.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "mcptrio: the configuration is wrong:",
        "  mcptrio.toml:2: server.prot: unknown key; did you mean `port`?",
        "  mcptrio.toml:3: server.port: expected a whole number, got text",
    ]
