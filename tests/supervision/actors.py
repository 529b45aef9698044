"""Bodies that a test directs, and what it needs to run a supervisor and read its reports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio.testing import wait_all_tasks_blocked

from mcptrio.supervision import Backoff, ChildSpec, ChildState, Event, Report, Restart, Supervisor

# One second, then two, four, eight: no two numbers of a test meet by chance.
STEADY = Backoff(initial=1.0, maximum=8.0, factor=2.0, jitter=False, reset_after=100.0)

AT_ONCE = Backoff(initial=0.0, jitter=False)

FAILING = 0.5


class Actor:
    """A body that waits to be told how to end; once it is stopped it lingers, in virtual seconds."""

    def __init__(self, linger: float = 0.0) -> None:
        self.linger = linger
        self.alive = 0
        self.starts: list[float] = []
        self.ends: list[float] = []
        self._order: BaseException | None = None
        self._told = trio.Event()

    async def run(self) -> None:
        await self._live(trio.TASK_STATUS_IGNORED)

    async def _live(self, status: trio.TaskStatus[None]) -> None:  # noqa: ASYNC128  it is handed on
        self.starts.append(trio.current_time())
        self.alive += 1
        self._told = trio.Event()
        try:
            if await self._begin(status):
                await self._told.wait()
                if self._order is not None:
                    raise self._order
        except trio.Cancelled:
            if self.linger:
                with trio.move_on_after(self.linger, shield=True):
                    await trio.sleep_forever()
            raise
        finally:
            self.alive -= 1
            self.ends.append(trio.current_time())

    async def _begin(self, status: trio.TaskStatus[None]) -> bool:
        """What the body does first; whether it goes on then."""
        status.started()
        return True

    async def finish(self) -> None:
        self._order = None
        self._told.set()
        await wait_all_tasks_blocked()

    async def crash(self, error: BaseException) -> None:
        self._order = error
        self._told.set()
        await wait_all_tasks_blocked()

    def order(self, error: BaseException | None) -> None:
        """Have the body end in its next step."""
        self._order = error
        self._told.set()

    def spec(
        self,
        name: str,
        restart: Restart = Restart.PERMANENT,
        *,
        shutdown: float = 5.0,
        backoff: Backoff = STEADY,
        significant: bool = False,
    ) -> ChildSpec:
        return ChildSpec(name, self.run, restart, shutdown, backoff, significant)


class Starter(Actor):
    """An actor that has to say that it is ready.

    Each of its starts takes the next step of the script, and when there is none left the last one again: seconds
    until it is ready (infinity: it hangs), an exception that it raises, or None: it returns without a word. Both take
    `FAILING` seconds.
    """

    def __init__(self, *script: float | Exception | None, linger: float = 0.0) -> None:
        super().__init__(linger)
        self._script: tuple[float | Exception | None, ...] = script or (0.0,)

    async def run(  # noqa: ASYNC128  it is handed on
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        await self._live(task_status)

    def succeed(self) -> None:
        """From now on it is ready at once."""
        self._script = (0.0,)

    async def _begin(self, status: trio.TaskStatus[None]) -> bool:  # noqa: ASYNC128  it is handed on
        step = self._script[min(len(self.starts), len(self._script)) - 1]
        if step is None or isinstance(step, Exception):
            await trio.sleep(FAILING)
            if step is None:
                return False
            raise step
        await trio.sleep(step)
        return await super()._begin(status)

    def starting_spec(
        self,
        name: str,
        restart: Restart = Restart.PERMANENT,
        *,
        start_timeout: float = 3.0,
        shutdown: float = 5.0,
        backoff: Backoff = STEADY,
    ) -> ChildSpec:
        return ChildSpec(name, self.run, restart, shutdown, backoff, start_timeout=start_timeout)


class Record:
    """Everything a supervisor reported."""

    def __init__(self) -> None:
        self.reports: list[Report] = []

    def __call__(self, report: Report) -> None:
        self.reports.append(report)

    def events(self, child: str) -> list[Event]:
        return [report.event for report in self.reports if report.child == child]

    def children(self, event: Event) -> list[str]:
        return [report.child for report in self.reports if report.event is event]

    def times(self, event: Event, child: str) -> list[float]:
        return [report.at for report in self.reports if (report.event, report.child) == (event, child)]


@asynccontextmanager
async def running(supervisor: Supervisor, *specs: ChildSpec) -> AsyncIterator[trio.CancelScope]:
    """The supervisor runs inside, with these children started; it is cancelled at the end, and has ended after it."""
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        for spec in specs:
            supervisor.start_child_nowait(spec)
        await wait_all_tasks_blocked()
        yield nursery.cancel_scope
        nursery.cancel_scope.cancel(reason="the test is over")


def states(supervisor: Supervisor) -> dict[str, ChildState]:
    """The states of the children in the table, in start order."""
    return {child.name: child.state for child in supervisor.children()}
