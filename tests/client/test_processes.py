"""Servers that are child processes: how they are started, talked to and ended. In real time."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import trio

from mcptrio.client import ConnectionLost, Limits, StdioCommand, open_client
from mcptrio.client.carrier import stdio
from mcptrio.supervision.backoff import Backoff
from tests.client.contract import hold_to_contract

SERVER = """
import json, os, signal, sys
{before}
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    if message["method"] == "initialize":
        result = {{"protocolVersion": "2025-11-25", "capabilities": {{}},
                   "serverInfo": {{"name": os.environ.get("NAME", ""), "version": os.getcwd()}}}}
    elif message["method"] == "tools/call":
        {call}
    else:
        result = {{}}
    print(json.dumps({{"jsonrpc": "2.0", "id": message["id"], "result": result}}), flush=True)
{after}
"""


def server(
    *, before: str = "", call: str = "result = {'content': []}", after: str = "", **options: object
) -> StdioCommand:
    program = SERVER.format(before=before, call=call, after=after)
    return StdioCommand((sys.executable, "-I", "-c", program), **options)  # type: ignore[arg-type]


def living(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"


def number_in(path: Path) -> int | None:
    return int(path.read_text() or 0) or None if path.exists() else None


async def wait_written(path: Path) -> int:
    with trio.fail_after(20):
        while (number := number_in(path)) is None:  # noqa: ASYNC110 - another process writes it
            await trio.sleep(0.01)
    return number


async def test_a_command_is_started_with_its_environment_and_directory_and_ends_with_its_input(
    tmp_path: Path,
) -> None:
    ended = tmp_path / "ended"
    command = server(after=f"open({str(ended)!r}, 'w').write('1')", env={"NAME": "child"}, cwd=tmp_path)
    async with open_client(command, revision="2025-11-25") as client:
        assert client.server_info is not None
        assert (client.server_info.name, client.server_info.version) == ("child", str(tmp_path))
        assert (await client.call_tool("x")).content == []
    assert ended.read_text() == "1"


@pytest.mark.parametrize(
    "stubborn",
    [
        "import time; time.sleep(60)",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); import time; time.sleep(60)",
    ],
    ids=["until-terminated", "until-killed"],
)
async def test_a_command_that_does_not_end_is_ended_with_what_it_has_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stubborn: str
) -> None:
    monkeypatch.setattr(stdio, "GRACE", 0.2)
    pid, grandchild = tmp_path / "pid", tmp_path / "grandchild"
    before = f"""
import subprocess
child = subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
open({str(grandchild)!r}, "w").write(str(child.pid))
open({str(pid)!r}, "w").write(str(os.getpid()))
"""
    async with open_client(server(before=before, after=stubborn), revision="2025-11-25"):
        assert living(await wait_written(pid))
        assert living(await wait_written(grandchild))
    assert not living(await wait_written(pid))
    with trio.fail_after(20):
        while living(await wait_written(grandchild)):  # noqa: ASYNC110 - somebody else's child now
            await trio.sleep(0.01)


async def test_a_cancelled_program_leaves_no_process(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = server(before=f"open({str(pid)!r}, 'w').write(str(os.getpid()))")
    async with trio.open_nursery() as nursery:

        async def use() -> None:
            async with open_client(command, revision="2025-11-25"):
                nursery.cancel_scope.cancel()
                await trio.sleep_forever()

        nursery.start_soon(use)
    assert not living(await wait_written(pid))


async def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "nothing")
    with pytest.raises(ConnectionLost, match=f"stdio:{missing}: cannot be started: No such file"):
        async with open_client(StdioCommand((missing, "--token", "hunter2"))):
            raise AssertionError


async def test_a_command_that_ends_at_once_is_connection_lost() -> None:
    with pytest.raises(ConnectionLost, match="the server ended"):
        async with open_client(StdioCommand((sys.executable, "-I", "-c", ""))):
            raise AssertionError


async def test_a_command_that_crashes_is_started_again() -> None:
    command = server(call="os._exit(1)")
    async with open_client(command, revision="2025-11-25", backoff=Backoff(initial=0.01)) as client:
        with pytest.raises(ConnectionLost, match="the server ended"):
            await client.call_tool("x")
        await client.ping()
        assert client.statistics().connections == 2


@pytest.mark.parametrize(
    ("call", "said", "code"),
    [
        ("print('hello'); result = {}", "Parse error", 1007),
        ("print('x' * 5000); result = {}", "longer than 1000 bytes", 1009),
    ],
)
async def test_a_line_that_is_no_message_ends_the_connection(call: str, said: str, code: int) -> None:
    command = server(call=call)
    limits = Limits(max_message=1000)
    async with open_client(command, revision="2025-11-25", reconnect=False, limits=limits) as client:
        with pytest.raises(ConnectionLost, match=said) as lost:
            await client.call_tool("x")
        assert lost.value.code == code


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_all_that_a_client_does_works_with_the_real_server_as_a_process(revision: str) -> None:
    arguments = ("-m", "mcptrio", "serve", "--stdio", "tests.client.notes_app:app")
    command = StdioCommand((sys.executable, *arguments), cwd=Path(__file__).parents[2])
    await hold_to_contract(open_client(command, revision=revision), revision)


def test_a_command_shows_neither_its_environment_nor_its_arguments_as_its_name() -> None:
    command = StdioCommand(("server", "--key", "hunter2"), env={"TOKEN": "hunter3"})
    assert command.url == "stdio:server"
    assert "hunter3" not in repr(command)


@pytest.mark.parametrize("args", [(), ("",)])
def test_a_command_without_a_program_is_a_mistake(args: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="name of a program"):
        StdioCommand(args)


@pytest.mark.parametrize("options", [{"token": "t"}, {"connect": trio.sleep_forever}])
async def test_what_is_for_a_url_is_refused_for_a_command(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="in its environment"):
        async with open_client(server(), **options):  # type: ignore[arg-type]
            raise AssertionError
