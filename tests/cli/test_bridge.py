"""`mcptrio bridge` as a host runs it: real processes, pipes and sockets."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcptrio.cli.exits import Exit
from tests.cli.test_processes import APP, DEADLINE, environment, run, started

TOKEN = "tulips-are-red-and-violets-blue"
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "host", "version": "1"},
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bridge")
    (path / "weather.py").write_text(APP)
    (path / "tokens").write_text(f"host:{TOKEN}\n")
    (path / "token").write_text(f"{TOKEN}\n")
    return path


@pytest.fixture(scope="module")
def urls(workplace: Path) -> Iterator[dict[str, str]]:
    """A server that wants a token, and its URLs."""
    with started("serve", "--port", "0", "--token-file", "tokens", "weather:app", cwd=workplace) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())


class Bridge:
    """The process, and a host's words to it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def say(self, method: str, id: int | None = None, **params: object) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params} | ({} if id is None else {"id": id})
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        heard: dict[str, Any] = json.loads(self.process.stdout.readline())
        return heard


@contextlib.contextmanager
def bridged(url: str, cwd: Path, **environ: str) -> Iterator[Bridge]:
    command = [sys.executable, "-m", "mcptrio", "bridge", url]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=cwd, env=environment(**environ), stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            yield Bridge(process)
        finally:
            process.kill()


@pytest.mark.parametrize("kind", ["endpoint", "websocket"])
def test_a_host_talks_through_it_until_its_input_ends(
    urls: dict[str, str], workplace: Path, kind: str
) -> None:
    with bridged(urls[kind], workplace, MCPTRIO_TOKEN=TOKEN) as bridge:
        bridge.say("initialize", 1, **INITIALIZE)
        assert bridge.hear()["result"]["serverInfo"]["name"] == "weather"
        bridge.say("notifications/initialized")
        bridge.say("resources/subscribe", 2, uri="news://1")
        assert bridge.hear() == {"jsonrpc": "2.0", "id": 2, "result": {}}
        bridge.say("tools/call", 3, name="publish", arguments={"id": "1"})
        heard = [bridge.hear(), bridge.hear()]
        assert {
            "jsonrpc": "2.0",
            "method": "notifications/resources/updated",
            "params": {"uri": "news://1"},
        } in heard
        assert 3 in [each.get("id") for each in heard]
        out, err = bridge.process.communicate(timeout=DEADLINE)
    assert (bridge.process.returncode, out, err) == (Exit.OK, "", "")


def test_what_is_asked_before_the_end_of_input_is_answered(urls: dict[str, str], workplace: Path) -> None:
    ask = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": INITIALIZE})
    done = subprocess.run(
        [sys.executable, "-m", "mcptrio", "bridge", urls["endpoint"], "--token-file", "token"],
        cwd=workplace,
        env=environment(),
        input=ask,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert json.loads(done.stdout)["id"] == 1
    assert done.returncode == Exit.OK


def test_a_signal_ends_it(urls: dict[str, str], workplace: Path) -> None:
    with bridged(urls["websocket"], workplace, MCPTRIO_TOKEN=TOKEN) as bridge:
        bridge.say("initialize", 1, **INITIALIZE)
        bridge.hear()
        bridge.process.send_signal(signal.SIGTERM)
        assert bridge.process.wait(DEADLINE) == Exit.OK


@pytest.mark.parametrize("kind", ["endpoint", "websocket"])
def test_a_missing_token_is_told_with_what_to_do(urls: dict[str, str], workplace: Path, kind: str) -> None:
    done = run("bridge", urls[kind], cwd=workplace)
    assert (done.returncode, done.stdout) == (Exit.REFUSED, "")
    assert "HTTP 401: a token is missing or wrong" in done.stderr
    assert "MCPTRIO_TOKEN" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_wrong_token_is_not_shown(urls: dict[str, str], workplace: Path) -> None:
    done = run("bridge", urls["endpoint"], cwd=workplace, MCPTRIO_TOKEN="hunter2hunter2")
    assert done.returncode == Exit.REFUSED
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_a_server_that_is_not_there_is_told(workplace: Path, scheme: str) -> None:
    done = run("bridge", f"{scheme}://127.0.0.1:9", cwd=workplace)
    assert (done.returncode, done.stdout) == (Exit.UNREACHABLE, "")
    assert f"{scheme}://127.0.0.1:9/mcp" in done.stderr
    assert "is the server running?" in done.stderr
