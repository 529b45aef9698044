"""The command line as it is used: real processes, sockets, signals and pipes.

Each wait is for a line or for an end; the deadlines only turn a hang into a failure.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

DEADLINE = 30

APP = """
from mcptrio import App
app = App("weather")

@app.tool
async def add(a: int, b: int) -> int:
    return a + b

@app.resource("news://{id}")
async def article(id: str) -> str:
    return f"article {id}"

@app.tool
async def publish(id: str) -> str:
    app.updated_nowait(f"news://{id}")
    return "published"
"""


def environment(**more: str) -> dict[str, str]:
    root = str(Path(__file__).parents[2])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MCP_")}
    return {**kept, "PYTHONPATH": root, "PYTHONWARNINGS": "error", **more}


def run(*arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mcptrio", *arguments],
        cwd=cwd,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


@contextlib.contextmanager
def started(*arguments: str, cwd: Path, **more: str) -> Iterator[subprocess.Popen[str]]:
    """A process that is ended in any case."""
    with subprocess.Popen(
        [sys.executable, "-m", "mcptrio", *arguments],
        cwd=cwd,
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str], *, error: bool = False) -> str:
    """The next line; pytest's own timeout ends a wait in vain."""
    stream = process.stderr if error else process.stdout
    assert stream is not None
    return stream.readline()


def end(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str, str]:
    process.send_signal(number)
    output, errors = process.communicate(timeout=DEADLINE)
    return process.returncode, output, errors


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    (tmp_path / "weather.py").write_text(APP)
    return tmp_path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_serves_all_commands_and_ends_politely(workplace: Path, number: signal.Signals) -> None:
    with started("serve", "weather:app", "--port", "0", "--log-format", "json", cwd=workplace) as server:
        address = json.loads(line_of(server))
        url = address["websocket"]
        assert re.fullmatch(r"ws://127\.0\.0\.1:\d+/mcp", url)
        assert address["endpoint"] == url.replace("ws", "http")

        called = run("call", address["endpoint"], "add", "a=1", "b=2", cwd=workplace)
        assert (called.returncode, called.stdout, called.stderr) == (0, "3\n", "")
        read = run("read", url.removeprefix("ws://").removesuffix("/mcp"), "news://1", cwd=workplace)
        assert (read.returncode, read.stdout, read.stderr) == (0, "article 1", "")
        inspected = run("inspect", url, cwd=workplace)
        assert inspected.returncode == 0
        assert "news://{id}" in inspected.stdout
        refused = run("watch", url, "nothing://here", cwd=workplace)
        assert refused.returncode == 4
        assert refused.stderr.startswith("mcptrio: the server refused: ")

        with started("watch", url, "news://7", "--json", cwd=workplace) as watcher:
            assert line_of(watcher, error=True) == "watching 1 resource\n"
            run("call", url, "publish", "id=7", cwd=workplace)
            assert json.loads(line_of(watcher))["uri"] == "news://7"
            assert end(watcher, number) == (0, "", "")

        code, output, log = end(server, number)
        assert (code, output) == (0, "")
        assert "Traceback" not in log
        assert [json.loads(line)["event"] for line in log.splitlines()][-1] == "stopped"


def test_watch_goes_on_after_the_server_was_restarted(workplace: Path) -> None:
    with started("serve", "weather:app", "--port", "0", cwd=workplace) as server:
        url = json.loads(line_of(server))["websocket"]
        port = url.split(":")[-1].removesuffix("/mcp")
        with started("watch", url, "news://7", cwd=workplace) as watcher:
            line_of(watcher, error=True)
            end(server, signal.SIGTERM)
            assert line_of(watcher, error=True).startswith("connection lost (")
            with started("serve", "weather:app", "--port", port, cwd=workplace):
                assert re.match(r"\d\d:\d\d:\d\d  gap      news://7\n", line_of(watcher))


def test_watch_ends_quietly_when_its_reader_leaves(workplace: Path) -> None:
    with started("serve", "weather:app", "--port", "0", cwd=workplace) as server:
        url = json.loads(line_of(server))["websocket"]
        with started("watch", url, "news://7", cwd=workplace) as watcher:
            line_of(watcher, error=True)
            assert watcher.stdout is not None
            watcher.stdout.close()
            run("call", url, "publish", "id=7", cwd=workplace)
            assert watcher.wait(DEADLINE) == 0
            assert watcher.stderr is not None
            assert watcher.stderr.read() == ""


def test_an_answer_that_was_not_waited_for_is_an_interruption(workplace: Path) -> None:
    (workplace / "slow.py").write_text(
        "import trio\nfrom mcptrio import App, Context\napp = App('slow')\n@app.tool\n"
        "async def hang(context: Context) -> None:\n"
        "    await context.progress(1, message='begun')\n    await trio.sleep_forever()\n"
    )
    with started("serve", "slow:app", "--port", "0", cwd=workplace) as server:
        url = json.loads(line_of(server))["websocket"]
        with started("call", url, "hang", cwd=workplace) as caller:
            assert line_of(caller, error=True) == "1 begun\n"
            assert end(caller, signal.SIGINT) == (130, "", "")


def test_the_demo_shows_its_endpoint_and_changes(tmp_path: Path) -> None:
    with started("demo", "--port", "0", cwd=tmp_path) as process:
        shown = ""
        while not re.search(r"created  email://messages/1  ", shown):
            line = line_of(process)
            assert line, process.communicate()
            shown += line
        assert re.search(r"websocket  ws://127\.0\.0\.1:\d+/mcp\n", shown)
        code, _, errors = end(process, signal.SIGTERM)
        assert (code, errors) == (0, "")


def test_the_demo_ends_by_itself(tmp_path: Path) -> None:
    shown = run("demo", "--port", "0", "--seconds", "0.1", cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")


def test_the_demo_logs_what_the_environment_asks_for_and_ends_when_nobody_reads(tmp_path: Path) -> None:
    with started("demo", "--port", "0", cwd=tmp_path, MCP_LOG_LEVEL="info") as process:
        while "listening" not in (line := line_of(process, error=True)):
            assert line, "it ended without a word of that"
    with started("demo", "--port", "0", cwd=tmp_path) as process:
        line_of(process)
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(DEADLINE) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_configured_server_ends_with_the_limit_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "mcptrio.toml").write_text("[[source]]\nkind = 'email_mock'\n")
    checked = run("check", "mcptrio.toml", "--json", cwd=tmp_path, MCP_MAX_CONNECTIONS="9")
    [row] = [row for row in json.loads(checked.stdout) if row["key"] == "server.limits.max_connections"]
    assert row == {
        "key": "server.limits.max_connections",
        "value": 9,
        "origin": "environment MCP_MAX_CONNECTIONS",
    }
    with started("serve", "mcptrio.toml", "--port", "0", cwd=tmp_path) as server:
        url = json.loads(line_of(server))["websocket"]
        read = run("read", url, "email://live-feed", cwd=tmp_path)
        assert "statistics" in json.loads(read.stdout)
        assert end(server, signal.SIGTERM)[0] == 0


def ended_writing_to(path: Path | int, *arguments: str, cwd: Path) -> tuple[int, str]:
    with open(path, "wb") as output:
        done = subprocess.run(
            [sys.executable, "-m", "mcptrio", *arguments],
            cwd=cwd,
            env=environment(),
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
    return done.returncode, done.stderr


def test_what_cannot_be_written_is_a_line_and_no_traceback(workplace: Path) -> None:
    full = Path("/dev/full")
    told = "mcptrio: cannot write to standard output: No space left on device\n"
    assert ended_writing_to(full, "--help", cwd=workplace) == (1, told)
    with started("serve", "weather:app", "--port", "0", cwd=workplace) as server:
        url = json.loads(line_of(server))["websocket"]
        assert ended_writing_to(full, "read", url, "news://7", cwd=workplace) == (1, told)
        with (
            full.open("wb") as output,
            subprocess.Popen(
                [sys.executable, "-m", "mcptrio", "watch", url, "news://7"],
                cwd=workplace,
                env=environment(),
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
            ) as watcher,
        ):
            assert line_of(watcher, error=True) == "watching 1 resource\n"
            run("call", url, "publish", "id=7", cwd=workplace)
            assert watcher.communicate(timeout=DEADLINE)[1] == told
            assert watcher.returncode == 1


@pytest.mark.parametrize("arguments", [("--help",), ("serve", "--help"), ("--version",)])
def test_help_that_nobody_reads_is_no_error(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    assert ended_writing_to(writer, *arguments, cwd=tmp_path) == (0, "")
