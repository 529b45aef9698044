"""`mcptrio serve`: from a file or a module to a running App, and what is told when that cannot be."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mcptrio.app import Address, App
from mcptrio.cli import demo, main, serve
from mcptrio.cli.configured import configured_app
from mcptrio.cli.exits import CannotWrite, Exit, NobodyReads, UserError
from mcptrio.cli.serve import announce, bind_message, run_app
from mcptrio.config import ServerTable, load
from mcptrio.supervision import Escalation


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("MCP_LOG_LEVEL", "MCP_MAX_CONNECTIONS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_an_app_is_made_as_the_configuration_says(workplace: Path) -> None:
    path = workplace / "mcptrio.toml"
    path.write_text(
        "[server]\nname = 'mine'\nintrospection = false\n[server.limits]\nmax_connections = 5\nmax_requests = 3\n"
        "[[source]]\nkind = 'email_mock'\n[[source]]\nkind = 'poller'\nname = 'p'\nurl = 'http://x/'\nuri = 'a://b'"
    )
    app = configured_app(load(path))
    assert app.name == "mine"
    assert (app.settings.limits.max_connections, app.settings.max_requests) == (5, 3)
    assert not app.settings.introspection
    assert [each.name for each in app.registry.sources()] == ["email", "p"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "[[source]]\nkind = 'poller'\nname = 'p'\nurl = 'http://x/'\nuri = 'a://b'\n"
            "headers = { Authorization = { env = 'NOT_SET_HERE' } }",
            "mcptrio.toml:6: source[0].headers: source 'p', header Authorization: "
            "the environment variable NOT_SET_HERE is not set",
        ),
        (
            "[[source]]\nkind = 'email_mock'\n[[source]]\nkind = 'email_mock'\nname = 'other'",
            "mcptrio.toml:4: source[1].kind: `email://live-feed` is the uri of source[0] already",
        ),
    ],
)
@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["check"], ["check", "--json"]])
def test_a_source_that_cannot_be_installed_is_told(
    workplace: Path, text: str, told: str, command: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    (workplace / "mcptrio.toml").write_text(text)
    assert main([*command, "mcptrio.toml"]) == 2
    shown = capfd.readouterr()
    assert shown.err == f"mcptrio: the configuration is wrong:\n  {told}\n"
    assert "valid" not in shown.out


def test_a_port_that_is_taken_is_told_with_the_fix(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "mcptrio.toml").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "mcptrio.toml", "--port", str(port)]) == 2
        assert main(["demo", "--port", str(port)]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("mcptrio:")]
    told = (
        f"mcptrio: port {port} of 127.0.0.1 is taken: choose another with --port, or --port 0 for a free one"
    )
    assert lines == [told, told]


def test_a_demo_that_finds_its_port_taken_takes_another_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def ready(app: App, server: ServerTable, on_ready: Callable[[Address], None]) -> None:
        on_ready(Address(server.host, server.port or 5))

    monkeypatch.setattr(demo, "run_app", ready)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(demo, "DEFAULT_PORT", taken.getsockname()[1])
        assert main(["demo"]) == 0
        assert capfd.readouterr().out.startswith(
            f"Port {demo.DEFAULT_PORT} is taken, so this is another one.\n"
        )
    assert main(["demo"]) == 0
    assert "is taken" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (errno.EADDRINUSE, "is taken: choose another"),
        (errno.EACCES, "choose one above 1023"),
        (errno.EADDRNOTAVAIL, "is no address of this machine"),
        (errno.EIO, "cannot listen on h, port 80"),
    ],
)
def test_why_an_address_cannot_be_listened_on_is_told(code: int, told: str) -> None:
    inner = OSError(code, os.strerror(code))
    assert told in bind_message(inner, "h", 80)
    outer = OSError("could not")
    outer.__cause__ = ExceptionGroup("", [ValueError(), inner])
    assert told in bind_message(outer, "h", 80)


def test_an_unknown_host_name_is_told(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workplace / "mcptrio.toml").touch()
    everybody = ["--allow-host", "*", "--anonymous"]
    assert main(["serve", "mcptrio.toml", "--host", "no.such.invalid", *everybody]) == 2
    assert "cannot listen on no.such.invalid" in capsys.readouterr().err


def test_the_announcement_is_a_line_of_json(capfd: pytest.CaptureFixture[str]) -> None:
    announce(Address("127.0.0.1", 5))
    assert capfd.readouterr().out == (
        '{"endpoint":"http://127.0.0.1:5/mcp","websocket":"ws://127.0.0.1:5/mcp"}\n'
    )


@pytest.mark.parametrize("error", [NobodyReads(), CannotWrite(OSError(errno.EBADF, "closed"))])
def test_a_server_whose_output_nobody_reads_serves_all_the_same(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def gone(text: str) -> None:
        raise error

    monkeypatch.setattr(serve, "print_text", gone)
    announce(Address("127.0.0.1", 5))


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (None, "the server gave up: too many restarts; the log"),
        (
            ExceptionGroup("", [ZeroDivisionError("broken")]),
            "too many restarts (ZeroDivisionError: broken); the log",
        ),
    ],
)
def test_a_server_that_cannot_be_kept_running_ends_with_a_line(
    monkeypatch: pytest.MonkeyPatch, cause: Exception | None, told: str
) -> None:
    def escalate(app: App, **settings: object) -> None:
        raise Escalation("too many restarts", ()) from cause

    monkeypatch.setattr(serve, "run", escalate)
    with pytest.raises(UserError) as caught:
        run_app(App("x"), ServerTable(), announce)
    assert caught.value.code == Exit.FAULT
    assert told in str(caught.value)


def test_an_error_of_the_system_while_serving_is_no_mistake_of_the_user() -> None:
    def on_ready(address: Address) -> None:
        raise OSError(errno.EIO, "a fault")

    with pytest.raises(OSError, match="a fault"):
        run_app(App("x"), ServerTable(port=0), on_ready)


@pytest.mark.parametrize(("value", "cap"), [("3", 3), ("", 10_000)])
def test_the_environment_limits_the_connections_of_any_app(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, value: str, cap: int
) -> None:
    served: list[App] = []
    module = f"wx_limits{value}"
    (workplace / f"{module}.py").write_text("from mcptrio import App\napp = App('x')")
    monkeypatch.syspath_prepend(workplace)
    monkeypatch.setattr(serve, "run_app", lambda app, *rest: served.append(app))
    monkeypatch.setenv("MCP_MAX_CONNECTIONS", value)
    assert main(["serve", f"{module}:app"]) == Exit.OK
    assert served[0].settings.limits.max_connections == cap


def test_a_module_that_fails_is_told(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "wx_nowhere:app"]) == 2
    assert "there is no module wx_nowhere" in capsys.readouterr().err
    with pytest.raises(UserError):
        serve.serve(None, flags={}, environ={})


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        ("RuntimeError('no database')", "RuntimeError: no database"),
        ("OSError(111, 'Connection refused')", "ConnectionRefusedError: [Errno 111] Connection refused"),
        ("ExceptionGroup('all', [ValueError(), KeyError()])", "ValueError"),
    ],
)
def test_an_app_that_cannot_start_is_told_with_the_place_and_the_traceback_only_to_who_asks(
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raised: str,
    told: str,
) -> None:
    module = workplace / "wx_start.py"
    module.write_text(
        "from mcptrio import App\napp = App('x')\nclass Pool: ...\n@app.lifespan\nasync def pool(app: App):\n"
        f"    raise {raised}\n    yield Pool()\n".replace("App):", "App) -> 'AsyncIterator[Pool]':").replace(
            "app = ", "from collections.abc import AsyncIterator\napp = "
        )
    )
    monkeypatch.syspath_prepend(workplace)
    for level in ("info", "debug"):
        monkeypatch.delitem(sys.modules, "wx_start", raising=False)
        assert main(["serve", "wx_start:app", "--port", "0", "--log-level", level]) == 2
        errors = capsys.readouterr().err
        assert ("Traceback" in errors) is (level == "debug")
        last = errors.splitlines()[-1]
        assert last.startswith(f"mcptrio: the app could not start: {told}")
        assert last.endswith(f" ({module}, line 7)")
    monkeypatch.delitem(sys.modules, "wx_start", raising=False)
