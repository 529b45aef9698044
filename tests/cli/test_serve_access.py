"""Who may come in, as it is said to `mcptrio serve` and shown by `mcptrio check`: tokens, TLS, Unix socket, stdio."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme

from mcptrio.app import App
from mcptrio.cli import demo, main, serve
from mcptrio.cli.exits import Exit
from mcptrio.config import ServerTable

TOKEN = "0123456789abcdef"
OTHER = "fedcba9876543210"


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("MCP_LOG_LEVEL", "MCP_MAX_CONNECTIONS", "MCP_RATE_LIMIT", "MCP_TOKENS"):
        monkeypatch.delenv(name, raising=False)
    token_file("tokens", TOKEN)
    return tmp_path


def token_file(name: str, token: str, mode: int = 0o600) -> None:
    path = Path(name)
    path.write_text(f"alice:{token}")
    path.chmod(mode)


def config_file(**settings: object) -> None:
    lines = (f"{key} = {json.dumps(value)}" for key, value in settings.items())
    Path("mcptrio.toml").write_text("\n".join(["[server]", *lines]))


Served = list[tuple[App, ServerTable, Mapping[str, object]]]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    """What `serve` would run, and how."""
    found: Served = []
    run_app = serve.run_app

    def keep(app: App, server: ServerTable, *rest: object) -> None:
        def run(app: App, **settings: object) -> None:
            found.append((app, server, settings))

        monkeypatch.setattr(serve, "run", run)
        run_app(app, server, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(serve, "run_app", keep)
    return found


def test_a_file_s_tokens_are_those_of_its_app(served: Served) -> None:
    config_file(rate_limit="6/m", rate_burst=9)
    assert main(["serve", "mcptrio.toml", "--token-file", "tokens"]) == Exit.OK
    [(app, _, settings)] = served
    assert app.access.authenticate(f"Bearer {TOKEN}") == "alice"
    assert app.access.rate is not None
    assert app.access.rate.burst == 9
    assert settings["tls"] is settings["unix_socket"] is None


MODULE = f"""
from mcptrio import Access, App, RateLimit, Tokens
app = App("x", access=Access(Tokens.parse("bob:{OTHER}", "here"), RateLimit(1.0, 1)))
"""


@pytest.mark.parametrize(
    ("flags", "environ", "token", "principal", "burst"),
    [
        ([], {}, OTHER, "bob", 1),
        (["--token-file", "tokens"], {}, TOKEN, "alice", 1),
        ([], {"MCP_TOKENS": TOKEN}, TOKEN, "token-1", 1),
        ([], {"MCP_RATE_LIMIT": "7/s"}, OTHER, "bob", 7),
    ],
)
def test_what_flags_and_environment_say_stands_over_a_module_s_app(
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
    served: Served,
    flags: list[str],
    environ: dict[str, str],
    token: str,
    principal: str,
    burst: int,
) -> None:
    module = f"wx_access{len(flags)}{''.join(environ)}"
    Path(f"{module}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(workplace)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert main(["serve", f"{module}:app", "--host", "0.0.0.0", "--allow-host", "*", *flags]) == Exit.OK
    [(app, _, _)] = served
    assert app.access.authenticate(f"Bearer {token}") == principal
    assert app.access.rate is not None
    assert app.access.rate.burst == burst


def test_an_app_that_others_reach_without_tokens_is_refused_unless_that_is_meant(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("wx_open.py").write_text("from mcptrio import App\napp = App('x')")
    monkeypatch.syspath_prepend(workplace)
    command = ["serve", "wx_open:app", "--host", "0.0.0.0", "--allow-host", "*"]
    assert main(command) == 2
    told = capsys.readouterr().err
    why = "0.0.0.0 is reachable from outside, and everybody would be let in: give tokens"
    assert told.startswith(f"mcptrio: the configuration is wrong:\n  --host: server.host: {why}")
    assert "`--anonymous`" in told
    assert main([*command, "--anonymous"]) == Exit.OK
    assert served[0][2]["anonymous"] is True
    assert main(command[:-2]) == 2
    assert re.findall("so the names|and everybody", capsys.readouterr().err) == [
        "so the names",
        "and everybody",
    ]


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["check"]])
def test_tokens_that_cannot_be_used_are_told_with_their_place(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    config_file()
    token_file("open", TOKEN, 0o666)
    assert main([*command, "mcptrio.toml", "--token-file", "open"]) == 2
    assert (
        "  --token-file: server.tokens: the file open can be written by others: chmod 600"
        in capsys.readouterr().err
    )
    Path("mcptrio.toml").write_text("[server]\n\ntokens = { env = 'NOT_SET_HERE' }")
    assert main([*command, "mcptrio.toml"]) == 2
    told = capsys.readouterr().err
    assert "  mcptrio.toml:3: server.tokens: the environment variable NOT_SET_HERE is not set" in told


def test_a_file_of_tokens_that_others_may_read_is_a_doubt(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    config_file()
    token_file("shown", TOKEN, 0o644)
    told = "--token-file: server.tokens: the file shown can be read by every user of this machine: chmod 600"
    assert main(["check", "mcptrio.toml", "--token-file", "shown"]) == Exit.OK
    assert f"mcptrio: {told}" in capsys.readouterr().err
    assert main(["serve", "mcptrio.toml", "--token-file", "shown"]) == Exit.OK
    assert told in capsys.readouterr().err


def test_check_shows_where_the_tokens_are_and_never_one(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    config_file(rate_limit="100/s", unix_socket="mcp.sock")
    monkeypatch.setenv("MCP_TOKENS", f"alice:{TOKEN}")
    assert main(["check", "mcptrio.toml"]) == Exit.OK
    shown = capfd.readouterr()
    assert TOKEN not in shown.out + shown.err
    lines = [line.split() for line in shown.out.splitlines()]
    assert ["server.tokens", '"<env', 'MCP_TOKENS>"', "environment", "MCP_TOKENS"] in lines
    assert ["server.rate_limit", '"100/s"', "file", "mcptrio.toml:2"] in lines
    assert ["server.unix_socket", '"mcp.sock"', "file", "mcptrio.toml:3"] in lines
    assert ["server.anonymous", "false", "default"] in lines
    assert main(["check", "mcptrio.toml", "--token-file", "tokens"]) == Exit.OK
    assert '"<file tokens>"' in capfd.readouterr().out


@pytest.fixture
def certificate() -> trustme.LeafCert:
    found = trustme.CA().issue_cert("localhost")
    found.cert_chain_pems[0].write_to_path("cert.pem")
    found.private_key_pem.write_to_path("key.pem")
    return found


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["check"]])
def test_a_certificate_that_cannot_be_used_is_told_with_its_file(
    certificate: trustme.LeafCert, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    config_file(tls_certificate="none.pem")
    assert main([*command, "mcptrio.toml"]) == 2
    told = capsys.readouterr().err
    assert "  mcptrio.toml:2: server.tls_certificate: " in told
    assert "none.pem" in told
    assert main([*command, "mcptrio.toml", "--tls-certificate", "cert.pem"]) == 2
    assert "  --tls-certificate: server.tls_certificate: " in capsys.readouterr().err


def test_a_certificate_and_its_key_are_what_is_served_with(
    certificate: trustme.LeafCert, served: Served
) -> None:
    config_file(tls_certificate="cert.pem")
    assert main(["serve", "mcptrio.toml", "--tls-key", "key.pem"]) == Exit.OK
    assert served[0][2]["tls"] is not None


def test_a_unix_socket_that_is_in_use_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    config_file()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind("mcp.sock")
        other.listen()
        assert main(["serve", "mcptrio.toml", "--unix-socket", "mcp.sock"]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("mcptrio:")]
    assert lines == ["mcptrio: cannot listen at mcp.sock: it is in use: another program listens there"]


@pytest.mark.parametrize("flags", [["--port", "0"], ["--anonymous"], ["--unix-socket", "x"]])
def test_who_speaks_on_standard_output_does_not_listen(
    flags: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    config_file()
    assert main(["serve", "mcptrio.toml", "--stdio", *flags]) == 2
    shown = capfd.readouterr()
    assert shown.out == ""
    assert shown.err == f"mcptrio: {flags[0]} is for a server that listens: leave it out, or --stdio\n"


def test_a_mistake_is_told_on_standard_error_where_the_protocol_has_the_output(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["serve", "none.toml", "--stdio"]) == 2
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "none.toml: there is no such file" in shown.err


def test_the_demo_takes_tokens_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[App] = []
    monkeypatch.setattr(demo, "run_app", lambda app, *rest: found.append(app))
    monkeypatch.setenv("MCP_TOKENS", f"alice:{TOKEN}")
    assert main(["demo"]) == Exit.OK
    assert found[0].access.authenticate(f"Bearer {TOKEN}") == "alice"
