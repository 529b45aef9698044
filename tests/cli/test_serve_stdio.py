"""`mcptrio serve --stdio` as a host runs it: real processes, pipes and signals.

Each wait is for a line or for an end; the deadlines only turn a hang into a failure.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.cli.test_processes import DEADLINE, environment
from tests.server.rig import ACKNOWLEDGED, INITIALIZE, TAG, Json, cancelled, notification, request, updated

APP = """
import os, subprocess, sys
from collections.abc import AsyncIterator
import trio
from mcptrio import App, Context

print("printed while it was imported", flush=True)
app = App("weather")

class Life: ...

@app.lifespan
async def life(app: App) -> AsyncIterator[Life]:
    print("printed while it started")
    yield Life()
    print("printed while it ended")

@app.tool
async def add(a: int, b: int) -> int:
    return a + b

@app.tool
async def noisy() -> str:
    print("printed")
    print("printed by the first standard output", file=sys.__stdout__, flush=True)
    os.write(1, b"written\\n")
    subprocess.run([sys.executable, "-c", "print('printed by a child')"], check=True)
    return subprocess.run(["cat"], capture_output=True, text=True).stdout

@app.resource("news://{id}")
async def article(id: str) -> str:
    return f"article {id}"

@app.tool
async def publish(id: str) -> str:
    app.updated_nowait(f"news://{id}")
    return "published"

@app.tool
async def hang(context: Context) -> None:
    await context.progress(1)
    await trio.sleep_forever()
"""


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    (tmp_path / "weather.py").write_text(APP)
    return tmp_path


class Host:
    """A process that serves, and the pipes to it."""

    def __init__(self, process: subprocess.Popen[bytes], to: IO[bytes], told: IO[bytes]) -> None:
        self.process = process
        self.to = to
        self.told = told
        self._ids = 1000

    def send(self, *messages: Json | bytes) -> None:
        for message in messages:
            self.to.write(message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n")
        self.to.flush()

    def receive(self) -> Json:
        line = self.told.readline()
        assert line.endswith(b"\n"), self.ended()
        message = json.loads(line)
        assert isinstance(message, dict)
        return message

    def call(self, method: str, params: Json | None = None, *, modern: bool = True) -> Json:
        self._ids += 1
        self.send(request(self._ids, method, params, modern=modern))
        answer = self.receive()
        assert answer["id"] == self._ids
        result = answer["result"]
        assert isinstance(result, dict)
        return result

    def tool(self, name: str, **arguments: object) -> str:
        content = self.call("tools/call", {"name": name, "arguments": arguments})["content"]
        assert isinstance(content, list)
        return "".join(each["text"] for each in content)

    def begin(self, id: object, name: str) -> None:
        """Have a tool running."""
        params: Json = {"name": name, "_meta": {"progressToken": id}}
        self.send(request(id, "tools/call", params, modern=True))
        assert self.receive()["method"] == "notifications/progress"

    def listen(self, id: object, *uris: str) -> None:
        wanted: Json = {"resourceSubscriptions": list(uris)}
        self.send(request(id, "subscriptions/listen", {"notifications": wanted}, modern=True))
        assert self.receive()["method"] == ACKNOWLEDGED

    def ended(self) -> tuple[int, bytes, str]:
        """The exit code, the rest of standard output, and the log."""
        with contextlib.suppress(OSError):
            self.to.close()
        assert self.process.stderr is not None
        rest = b"" if self.told.closed else self.told.read()
        log = self.process.stderr.read().decode()
        return self.process.wait(DEADLINE), rest, log


COMMAND = (sys.executable, "-m", "mcptrio", "serve", "weather:app", "--stdio")


@contextlib.contextmanager
def started(workplace: Path, *command: str) -> Iterator[Host]:
    with subprocess.Popen(
        command or COMMAND,
        cwd=workplace,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield Host(process, process.stdin, process.stdout)
        finally:
            process.kill()
            with contextlib.suppress(OSError):
                process.stdin.close()


def test_a_host_is_served_in_both_revisions_until_it_closes_the_input(workplace: Path) -> None:
    with started(workplace) as host:
        assert host.call("server/discover")["supportedVersions"] == ["2026-07-28", "2025-11-25"]
        assert host.tool("add", a=1, b=2) == "3"
        host.listen("l", "news://7")
        for _ in range(3):
            host.send(request(1, "tools/call", {"name": "publish", "arguments": {"id": "7"}}, modern=True))
            both = [host.receive(), host.receive()]
            assert updated("news://7", "l") in both
        host.send(cancelled("l"))
        assert host.tool("publish", id="7") == "published"

        assert host.call("initialize", {**INITIALIZE}, modern=False)["protocolVersion"] == "2025-11-25"
        host.send(notification("notifications/initialized"))
        assert host.call("resources/subscribe", {"uri": "news://8"}, modern=False) == {}
        host.send(request(2, "tools/call", {"name": "publish", "arguments": {"id": "8"}}))
        both = [host.receive(), host.receive()]
        assert updated("news://8") in both
        assert host.call("resources/unsubscribe", {"uri": "news://8"}, modern=False) == {}
        assert host.tool("publish", id="8") == "published"

        host.begin(3, "hang")
        code, rest, log = host.ended()
        assert (code, rest) == (0, b"")
        assert "Traceback" not in log
        assert "stopped" in log.splitlines()[-1]


def test_nothing_but_messages_is_on_standard_output_and_nobody_else_reads_the_input(workplace: Path) -> None:
    with started(workplace) as host:
        assert host.tool("noisy") == "", "a child finds the end of its input, not the client's messages"
        assert host.tool("add", a=1, b=2) == "3"
        code, rest, log = host.ended()
        assert (code, rest) == (0, b"")
        for text in (
            *("printed while it was imported", "printed while it started", "printed while it ended"),
            *("printed by the first standard output", "written", "printed by a child"),
        ):
            assert text in log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(workplace: Path, number: signal.Signals) -> None:
    with started(workplace) as host:
        host.listen("l", "news://7")
        host.begin(1, "hang")
        host.process.send_signal(number)
        final = host.receive()
        result = final["result"]
        assert isinstance(result, dict)
        assert (final["id"], result["_meta"][TAG]) == ("l", "l")
        code, rest, log = host.ended()
        assert (code, rest) == (0, b"")
        assert "Traceback" not in log


def test_a_handler_that_will_not_end_does_not_hold_the_process_up(workplace: Path) -> None:
    (workplace / "staying.py").write_text(
        "import trio\nfrom mcptrio import App, Context\napp = App('staying')\n@app.tool\n"
        "async def stay(context: Context) -> None:\n    await context.progress(1)\n"
        "    with trio.CancelScope(shield=True):\n        await trio.sleep(3600)\n"
    )
    with started(workplace, *COMMAND[:-2], "staying:app", "--stdio") as host:
        host.begin(1, "stay")
        code, rest, log = host.ended()
        assert (code, rest) == (70, b"")
        assert "overstays the drain deadline" in log


def test_a_host_that_has_gone_ends_it(workplace: Path) -> None:
    with started(workplace) as host:
        host.listen("l", "news://7")
        host.told.close()
        host.send(request(1, "tools/list", modern=True))
        assert host.process.wait(DEADLINE) == 0, "although the input is still open"
        code, _, log = host.ended()
        assert code == 0
        assert "Traceback" not in log


def test_hostile_lines_are_answered_and_the_next_one_served(workplace: Path) -> None:
    with started(workplace) as host:
        host.send(b"garbage\n", b"\xff\x00\n", b"\r\n\n", b"x" * 5_000_000 + b"\n")
        codes = [host.receive()["error"]["code"] for _ in range(3)]  # type: ignore[index]
        assert codes == [-32700, -32700, -32600]
        discover = json.dumps(request(1, "server/discover", modern=True)).encode()
        for byte in discover:
            host.send(bytes([byte]))
        host.send(b"\r\n")
        assert host.receive()["id"] == 1
        host.send(b'{"cut off')
        code, rest, _ = host.ended()
        assert code == 0
        assert json.loads(rest)["error"]["code"] == -32700


def test_one_socket_may_be_both_streams(workplace: Path) -> None:
    ours, theirs = socket.socketpair()
    with (
        ours,
        subprocess.Popen(
            COMMAND,
            cwd=workplace,
            env=environment(),
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.PIPE,
        ) as process,
    ):
        assert os.get_blocking(theirs.fileno())
        try:
            with ours.makefile("rb") as told, ours.makefile("wb") as to:
                host = Host(process, to, told)
                assert host.tool("add", a=1, b=2) == "3"
                ours.shutdown(socket.SHUT_WR)
                theirs.close()
                assert host.ended()[:2] == (0, b"")
        finally:
            process.kill()


def test_a_terminal_may_be_both_and_is_left_as_it_was(workplace: Path) -> None:
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    with subprocess.Popen(
        COMMAND, cwd=workplace, env=environment(), stdin=theirs, stdout=theirs, stderr=subprocess.PIPE
    ) as process:
        try:
            with open(ours, "r+b", buffering=0) as terminal:
                host = Host(process, terminal, io.BufferedReader(terminal))
                assert host.tool("add", a=1, b=2) == "3"
                assert os.get_blocking(theirs), "others have it open too"
                process.send_signal(signal.SIGINT)
                assert process.wait(DEADLINE) == 0, "although nobody ends the input"
        finally:
            process.kill()
            os.close(theirs)


def test_a_file_may_be_the_input_and_another_the_output(workplace: Path) -> None:
    asked, told = workplace / "asked", workplace / "told"
    messages = [request(id, "tools/list", modern=True) for id in range(200)]
    asked.write_text("\n".join(map(json.dumps, messages)))
    with asked.open("rb") as stdin, told.open("wb") as stdout:
        done = subprocess.run(
            COMMAND,
            cwd=workplace,
            env=environment(),
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            timeout=DEADLINE,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["id"] for line in told.read_text().splitlines()] == list(range(200))


def test_big_answers_reach_a_slow_reader_whole(workplace: Path) -> None:
    (workplace / "big.py").write_text(
        "from mcptrio import App\napp = App('big')\n@app.tool\n"
        "async def big() -> str:\n    return 'x' * 1_000_000\n"
    )
    with started(workplace, *COMMAND[:-2], "big:app", "--stdio") as host:
        host.send(*(request(id, "tools/call", {"name": "big"}, modern=True) for id in range(20)))
        assert {host.receive()["id"] for _ in range(20)} == set(range(20))
        assert host.ended()[:2] == (0, b"")


def test_the_streams_are_given_back(workplace: Path) -> None:
    (workplace / "program.py").write_text(
        "import os, sys, trio\nfrom weather import app\n"
        "before = [os.get_blocking(fd) for fd in (0, 1)]\n"
        "trio.run(app.serve_stdio)\n"
        "assert [os.get_blocking(fd) for fd in (0, 1)] == before == [True, True]\n"
        "assert os.fstat(0) != os.stat(os.devnull)\n"
        "print('behind it', flush=True)\n"
        "os.write(1, b'all is as before\\n')\n"
    )
    with started(workplace, sys.executable, "program.py") as host:
        assert host.told.readline() == b"printed while it was imported\n"
        assert host.tool("add", a=1, b=2) == "3"
        code, rest, log = host.ended()
        assert (code, rest) == (0, b"behind it\nall is as before\n"), log


@pytest.mark.parametrize(("closed", "name"), [("<&-", "input"), (">&-", "output")])
def test_a_closed_stream_is_a_line_and_no_traceback(workplace: Path, closed: str, name: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND],
        cwd=workplace,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"mcptrio: standard {name} is closed: --stdio is for a program that starts this one\n"
    )


def test_a_closed_standard_error_changes_nothing_for_the_client(workplace: Path) -> None:
    (workplace / "program.py").write_text("import trio\nfrom weather import app\ntrio.run(app.serve_stdio)\n")
    command = f"exec {sys.executable} program.py 2>&-"
    with started(workplace, "sh", "-c", command) as host:
        assert host.told.readline() == b"printed while it was imported\n"
        assert host.tool("noisy") == ""
        assert host.ended() == (0, b"", "")


def test_a_mistake_is_a_line_on_standard_error(workplace: Path) -> None:
    (workplace / "faulty.py").write_text("print('here')\nraise LookupError('no such thing')\n")
    with started(workplace, *COMMAND[:-2], "faulty:app", "--stdio") as host:
        code, rest, log = host.ended()
        assert (code, rest) == (2, b"")
        assert log.startswith("here\nmcptrio: ")
        assert "no such thing" in log and "Traceback" not in log
