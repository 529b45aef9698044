"""`mcptrio check`: every value with its origin, and never a secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcptrio.cli import main
from tests.config.third_parties import Workplace, forgetting_workplace

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


THIRD_PARTY = """\
from msgspec import Struct
from mcptrio import Registry, Secret
from mcptrio.sources import Duration

class Login(Struct):
    user: str
    password: str | Secret

class Settings(Struct):
    name: str
    logins: list[Login] = []
    headers: dict[str, str | Secret] = {}
    first: list[str | dict[str, object]] = []
    login: Login | None = None
    secrets: dict[str, str | Secret] = {}
    every: Duration = "10s"

def install(registry: Registry, settings: Settings) -> None:
    if settings.every == "never":
        raise ValueError("`every` is no time")
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
        "mcptrio.toml:10: source[0].headers: source 'releases', header X-Other: the file token.txt cannot be read"
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


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    for name in ("MCP_LOG_LEVEL", "MCP_MAX_CONNECTIONS"):
        monkeypatch.delenv(name, raising=False)
    yield from forgetting_workplace(tmp_path, monkeypatch)


SOURCE = """\
[[source]]
kind = "wx_mine:install"
name = "mine"
logins = [{ user = "ada", password = "hunter2" }, { user = "alan", password = { env = "NOT_SET_HERE" } }]
headers = { X-Plain = "hunter2" }
first = ["LOGIN hunter2", { user = "ada", words = ["hunter2", 5] }]
login = { user = "grace", password = "hunter2" }
secrets = { first = "hunter2", second = { file = "second.txt" } }
"""


def test_the_settings_of_a_third_party_are_shown_without_secrets(
    third_party: Workplace, capfd: pytest.CaptureFixture[str]
) -> None:
    third_party.module("wx_mine", THIRD_PARTY)
    Path("second.txt").write_text("hunter2")
    assert main(["check", str(third_party.config(SOURCE)), "--json"]) == 0
    shown = capfd.readouterr()
    assert "hunter2" not in shown.out + shown.err
    rows = {row["key"]: (row["value"], row["origin"]) for row in json.loads(shown.out)}
    assert {key: rows[key] for key in rows if key.startswith("source")} == {
        "source[0].kind": ("wx_mine:install", "file mcptrio.toml:2"),
        "source[0].name": ("mine", "file mcptrio.toml:3"),
        "source[0].logins": (
            [
                {"user": "ada", "password": "***"},
                {"user": "alan", "password": "<env NOT_SET_HERE, not there now>"},
            ],
            "file mcptrio.toml:4",
        ),
        "source[0].headers": ({"X-Plain": "***"}, "file mcptrio.toml:5"),
        "source[0].first": (["***", {"user": "***", "words": ["***", 5]}], "file mcptrio.toml:6"),
        "source[0].login.user": ("grace", "file mcptrio.toml:7"),
        "source[0].login.password": ("***", "file mcptrio.toml:7"),
        "source[0].secrets": ({"first": "***", "second": "<file second.txt>"}, "file mcptrio.toml:8"),
        "source[0].every": ("10s", "default"),
    }


def test_what_a_third_party_refuses_is_told_with_the_line_of_the_key(
    third_party: Workplace, capfd: pytest.CaptureFixture[str]
) -> None:
    third_party.module("wx_mine", THIRD_PARTY)
    assert main(["check", str(third_party.config(SOURCE + 'every = "never"\n'))]) == 2
    shown = capfd.readouterr()
    assert shown.err == (
        "mcptrio: the configuration is wrong:\n  mcptrio.toml:9: source[0].every: is no time\n"
    )
    assert "valid" not in shown.out


def test_a_package_with_the_word_of_a_built_in_kind_is_told_of(
    third_party: Workplace, capfd: pytest.CaptureFixture[str]
) -> None:
    third_party.package("acme", "wx_mine", THIRD_PARTY, email_mock="wx_mine:install")
    assert main(["check", str(third_party.config("[[source]]\nkind = 'email_mock'\n"))]) == 0
    shown = capfd.readouterr()
    assert shown.out.endswith("mcptrio.toml: valid\n")
    assert shown.err == (
        "mcptrio: mcptrio.toml:2: source[0].kind: `email_mock` is the built-in kind; the same word of acme 1.0 "
        '(`wx_mine:install`) is not used: for that one write kind = "wx_mine:install"\n'
    )
