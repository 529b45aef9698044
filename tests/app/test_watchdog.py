"""The watchdog of a running program: it needs no task, and it never outlives `run`."""

from __future__ import annotations

import gc
import os
import signal
import ssl
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import trio

from mcptrio import ServerSettings
from mcptrio.app import Address, run
from mcptrio.app.root import LIFESPAN_TIMEOUT
from tests.app.test_serve import ROOT

PROGRAM = """
import trio

from mcptrio import App
from mcptrio.app import run

app = App("house")
ready = trio.Event()

@app.source()
async def greedy(feed):
    await ready.wait()
    print("greedy", flush=True)
    while True:
        pass

run(app, port=0, on_ready=lambda address: ready.set())
print("returned", flush=True)
"""


@contextmanager
def greedy_program() -> Iterator[subprocess.Popen[str]]:
    """A program that has begun a step that never ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "greedy\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_step_that_never_ends_does_not_keep_the_program() -> None:
    with greedy_program() as process:
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 70
        assert time.monotonic() - began > ServerSettings().drain_timeout, "what has a deadline got it"


def test_a_second_signal_ends_a_program_in_a_step_that_never_ends_at_once() -> None:
    with greedy_program() as process:
        began = time.monotonic()
        for _ in range(20):  # two that come at once are one to the system
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=0.2)
                break
            except subprocess.TimeoutExpired:
                continue
        assert process.returncode == 128 + signal.SIGTERM
        assert time.monotonic() - began < LIFESPAN_TIMEOUT


class FakeTimer:
    """A timer that never fires."""

    made: list[FakeTimer] = []

    def __init__(self, interval: float, function: Callable[[], None]) -> None:
        self.interval = interval
        self.daemon = False
        self.calls: list[str] = []
        self.made.append(self)

    def start(self) -> None:
        assert self.daemon
        self.calls.append("start")

    def cancel(self) -> None:
        self.calls.append("cancel")


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> list[FakeTimer]:
    """The timers that `run` made."""
    monkeypatch.setattr(sys.modules["mcptrio.app.run"], "threading", SimpleNamespace(Timer=FakeTimer))
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(FakeTimer, "made", [])
    return FakeTimer.made


class Served:
    """What `run` needs of an app; it ends with an error, where it is given one."""

    def __init__(self, error: Exception | None = None, *, at_once: bool = False) -> None:
        self.settings = ServerSettings()
        self.stop_timeout = 1.5
        self._error = error
        self._at_once = at_once

    async def serve(
        self,
        host: str,
        port: int,
        *,
        unix_socket: str | os.PathLike[str] | None,
        tls: ssl.SSLContext | None,
        anonymous: bool,
        allowed_hosts: Collection[str],
        allowed_origins: Collection[str],
        max_connections: int | None,
        task_status: trio.TaskStatus[Address],
    ) -> None:
        task_status.started(Address("127.0.0.1", 1))
        try:
            if not self._at_once:
                await trio.sleep_forever()
        finally:
            if self._error is not None:
                raise self._error


def signalled(address: Address) -> None:
    signal.raise_signal(signal.SIGTERM)


def test_a_program_that_goes_on_after_run_raised_is_not_ended(timers: list[FakeTimer]) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with pytest.raises(OSError, match="while draining"):
        run(Served(OSError("while draining")), on_ready=signalled)
    (timer,) = timers
    assert timer.calls == ["start", "cancel"]
    assert timer.interval == 2.5
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_program_that_goes_on_after_run_returned_is_not_ended(timers: list[FakeTimer]) -> None:
    run(Served(), on_ready=signalled)
    (timer,) = timers
    assert timer.calls == ["start", "cancel"]


def test_a_program_that_fails_before_any_signal_starts_no_watchdog(timers: list[FakeTimer]) -> None:
    with pytest.raises(OSError, match="at once"):
        run(Served(OSError("at once"), at_once=True))
    assert [timer.calls for timer in timers] == [["cancel"]]
