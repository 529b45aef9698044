"""`mcptrio watch --exec`: a command for each change, in order, none at once for one resource, the last never lost."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from shlex import quote
from typing import cast

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.app import App
from mcptrio.cli.commandline import parse
from mcptrio.cli.exits import Exit, UserError
from mcptrio.cli.remote import Remote
from mcptrio.cli.watch_exec import MOST_PENDING, PATIENCE, Commands, watch_exec
from mcptrio.client import Client, Update, WatchEvent

from .conftest import in_memory
from .test_processes import end, line_of, run, started, workplace  # noqa: F401  a fixture
from .test_watch import Ended, subscribed

AT = datetime(2026, 11, 20, 9, 8, 7, tzinfo=UTC)
DEADLINE = 20
MockClock = trio.testing.MockClock


class Slow(Commands):
    """Commands that take a second of virtual time each; what they were run for, and when."""

    def __init__(self) -> None:
        super().__init__("")
        self.begun: list[tuple[float, Update | WatchEvent]] = []
        self.now: set[str] = set()
        self.most = 0

    async def _run(self, update: Update | WatchEvent, pattern: str | None) -> None:
        assert update.uri not in self.now, "no two at once for one resource"
        self.begun.append((trio.current_time(), update))
        self.now.add(update.uri)
        self.most = max(self.most, len(self.now))
        try:
            await trio.sleep(1)
        finally:
            self.now.discard(update.uri)

    @property
    def order(self) -> str:
        return "".join(update.uri[-1] for _, update in self.begun)

    @asynccontextmanager
    async def working(self, concurrency: int = 1) -> AsyncIterator[None]:
        """Commands are run in the block, and after it until none waits."""
        async with trio.open_nursery() as nursery:
            for _ in range(concurrency):
                nursery.start_soon(self.work)
            yield
            self.end()


async def test_commands_run_in_the_order_of_the_changes(autojump_clock: MockClock) -> None:
    commands = Slow()
    async with commands.working():
        for name in "abcab":
            await commands.put(Update(f"x:{name}"))
    assert commands.order == "abca", "the second a came while the first one ran; the second b did not"
    assert commands.most == 1


async def test_changes_of_a_resource_become_one_while_its_command_runs(autojump_clock: MockClock) -> None:
    commands = Slow()
    async with commands.working():
        for number in range(10):
            await commands.put(Update("x:a", meta={"number": number}))
            await trio.sleep(0.05)
        await commands.put(Update("x:b"))
        await commands.put(Update("x:a", gap=True))
        await commands.put(Update("x:a", meta={"number": 11}))
    assert commands.order == "aab"
    assert [update for _, update in commands.begun][1] == Update("x:a", gap=True, meta={"number": 11})


async def test_several_run_at_once_but_none_beside_another_of_its_resource(autojump_clock: MockClock) -> None:
    commands = Slow()
    async with commands.working(3):
        for name in "abcde":
            await commands.put(Update(f"x:{name}"))
        await trio.sleep(0.5)
        assert commands.order == "abc"
        await commands.put(Update("x:a"))
    assert commands.order == "abcdea"
    assert commands.most == 3


async def test_more_than_can_wait_waits_in_the_subscription(autojump_clock: MockClock) -> None:
    commands = Slow()
    for number in range(MOST_PENDING):
        await commands.put(Update(f"x:{number}"))
    with trio.move_on_after(5) as scope:
        await commands.put(Update("x:more"))
    assert scope.cancelled_caught
    await commands.put(Update("x:0", gap=True))
    async with commands.working(2):
        await commands.put(Update("x:more"))
    assert commands.begun[0][1].gap
    assert commands.begun[-1][1].uri == "x:more"
    assert len(commands.begun) == MOST_PENDING + 1


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 2)), max_size=20),
    st.integers(min_value=1, max_value=3),
)
def test_the_last_change_of_a_resource_is_always_run(
    changes: list[tuple[str, float]], concurrency: int
) -> None:
    async def main() -> None:
        commands = Slow()
        last: dict[str, float] = {}
        async with commands.working(concurrency):
            for name, pause in changes:
                last[f"x:{name}"] = trio.current_time()
                await commands.put(Update(f"x:{name}"))
                await trio.sleep(pause)
        run = {update.uri: at for at, update in commands.begun}
        assert run.keys() == last.keys()
        assert all(run[uri] >= at for uri, at in last.items())

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def ran(command: str, *updates: Update) -> None:
    """Run a command for these changes, to its end."""
    commands = Commands(command, lambda: AT)
    for update in updates:
        await commands.put(update)
    commands.end()
    with trio.fail_after(DEADLINE):
        await commands.work()


async def test_a_command_gets_its_change_as_json_and_in_the_environment(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    await ran(
        "cat; echo $MCPTRIO_URI $MCPTRIO_KIND", Update("news://1", meta={"a": 1}), Update("x:2", gap=True)
    )
    output, errors = capfd.readouterr()
    first, said, second, also_said = output.splitlines()
    assert json.loads(first) == {
        "time": AT.isoformat(),
        "uri": "news://1",
        "kind": "updated",
        "gap": False,
        "meta": {"a": 1},
    }
    assert (said, also_said) == ("news://1 updated", "x:2 gap")
    assert json.loads(second)["gap"] is True
    assert errors == ""


async def test_a_command_that_fails_is_told_of_and_the_next_runs(capfd: pytest.CaptureFixture[str]) -> None:
    command = (
        "case $MCPTRIO_URI in x:1) exit 3;; x:2) kill -9 $$;; x:3) nosuchcommand 2>&-;; *) echo ok;; esac"
    )
    await ran(command, *(Update(f"x:{number}") for number in (1, 2, 3, 4)))
    output, errors = capfd.readouterr()
    assert output == "ok\n"
    assert errors.splitlines() == [
        "the command for x:1 ended with exit code 3",
        "the command for x:2 was ended by SIGKILL",
        "the command for x:3 ended with exit code 127",
    ]


async def test_a_command_that_does_not_read_is_not_waited_for(capfd: pytest.CaptureFixture[str]) -> None:
    much: dict[str, object] = {"text": "x" * 1_000_000}
    await ran("exec <&-; echo closed", Update("x:1", meta=much))
    await ran("sleep 30 >/dev/null 2>&1 <&0 & echo $!", Update("x:1", meta=much))
    closed, pid = capfd.readouterr().out.split()
    assert closed == "closed"
    os.kill(int(pid), signal.SIGKILL)


async def test_what_cannot_be_started_is_said(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def refuse(*arguments: object, **options: object) -> None:
        await trio.lowlevel.checkpoint()
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(trio.lowlevel, "open_process", refuse)
    await ran("true", Update("x:1"))
    assert capfd.readouterr().err == "the command for x:1 cannot be run: Resource temporarily unavailable\n"


async def test_what_is_no_uri_is_never_a_commands(capfd: pytest.CaptureFixture[str]) -> None:
    await ran(
        "echo $MCPTRIO_URI", Update("x:\0"), Update("x:\ud800"), Update("$(echo hi)"), Update("x:$(id);a")
    )
    output, errors = capfd.readouterr()
    assert output == "x:$(id);a\n"
    assert len(errors.splitlines()) == 3


@asynccontextmanager
async def cut(command: str, fifo: Path) -> AsyncIterator[list[int]]:
    """A command that has said its processes' ids into a FIFO; the block runs when it was cut, with these."""
    os.mkfifo(fifo)
    commands = Commands(command, lambda: AT)
    await commands.put(Update("x:1"))
    pids: list[int] = []
    with trio.fail_after(DEADLINE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(commands.work)
            pids += [int(pid) for pid in (await trio.Path(fifo).read_text()).split()]
            nursery.cancel_scope.cancel()
    yield pids


def alive(pid: int) -> bool:
    try:
        # Of a process that nobody has waited for yet, nothing but its state is left.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_a_running_command_and_all_it_started_is_ended_politely(tmp_path: Path) -> None:
    fifo, mark = tmp_path / "fifo", tmp_path / "mark"
    begin = trio.current_time()
    command = f"trap 'echo polite > {quote(str(mark))}; exit' TERM; sleep 60 & echo $$ $! > {quote(str(fifo))}; wait"
    async with cut(command, fifo) as pids:
        assert len(pids) == 2
        assert not any(map(alive, pids))
        assert mark.read_text() == "polite\n"
        assert trio.current_time() - begin < PATIENCE + 8


async def test_a_command_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    # A shell that ignores it makes all that it starts ignore it, too.
    command = f"trap '' TERM; sleep 60 & echo $$ $! > {quote(str(fifo))}; wait"
    begin = trio.current_time()
    async with cut(command, fifo) as pids:
        assert len(pids) == 2
        assert not any(map(alive, pids))
        assert trio.current_time() - begin >= PATIENCE


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_each_change_of_a_server_runs_the_command(app: App, revision: str, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    async with in_memory(app, revision=revision) as remote, trio.open_nursery() as nursery:
        uris = ["news://one", "news://two"]
        command = f"echo $MCPTRIO_URI > {quote(str(fifo))}"
        nursery.start_soon(partial(watch_exec, remote, uris, command))
        with trio.fail_after(DEADLINE):
            await subscribed(app, "news://two")
            for uri in ("news://two", "news://one", "news://one"):
                app.updated_nowait(uri)
                assert await trio.Path(fifo).read_text() == f"{uri}\n"
        nursery.cancel_scope.cancel()
    assert not app.hub.subscribers("news://one")


async def test_a_refusal_is_an_error_as_ever(app: App, autojump_clock: MockClock) -> None:
    async with in_memory(app) as remote:
        with pytest.raises(UserError, match=r"the server refused: .*nothing://here") as caught:
            await watch_exec(remote, ["nothing://here"], "true")
    assert caught.value.code == Exit.REFUSED


async def test_what_came_before_the_server_ended_the_subscription_is_run(
    capfd: pytest.CaptureFixture[str],
) -> None:
    class Last(Ended):
        def __init__(self) -> None:
            self.left = [Update("a://b"), Update("a://c")]

        async def __anext__(self) -> Update:
            await trio.lowlevel.checkpoint()
            if self.left:
                return self.left.pop(0)
            raise StopAsyncIteration

    class LastRemote(Remote):
        @asynccontextmanager
        async def client(self, *, reconnect: bool = False) -> AsyncIterator[Client]:
            yield cast(Client, Last())

    with trio.fail_after(DEADLINE), pytest.raises(UserError, match="the server ended the subscription"):
        await watch_exec(LastRemote(url="x"), ["a://b"], "echo $MCPTRIO_URI")
    assert capfd.readouterr().out == "a://b\na://c\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--exec", " "], "--exec needs a command"),
        (["--exec", "true", "--exec-concurrency", "0"], "--exec-concurrency must be between 1 and 64"),
        (["--exec", "true", "--json"], "with --exec each command gets its change as JSON anyway"),
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(["watch", "localhost:1", "a://b", *words])()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_as_a_process_it_runs_commands_until_a_signal(workplace: Path, number: signal.Signals) -> None:  # noqa: F811
    with started("serve", "weather:app", "--port", "0", cwd=workplace) as server:
        url = json.loads(line_of(server))["websocket"]
        command = "echo got $MCPTRIO_URI; trap 'echo polite; exit' TERM; sleep 60 & wait"
        with started("watch", url, "news://7", "--exec", command, cwd=workplace) as watcher:
            assert line_of(watcher, error=True) == "watching 1 resource\n"
            run("call", url, "publish", "id=7", cwd=workplace)
            assert line_of(watcher) == "got news://7\n"
            assert end(watcher, number) == (0, "polite\n", "")
