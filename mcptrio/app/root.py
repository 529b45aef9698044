"""The root: what runs as long as somebody uses the app, started by the first user and ended by the last."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

Body = Callable[..., Awaitable[object]]

LIFESPAN_TIMEOUT = 5.0
"""Seconds that the lifespans may take, together, to leave."""


def sole(error: BaseException) -> BaseException:
    """The single exception in a group, at any depth; every other exception is itself."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


class RootEnded(RuntimeError):
    """The app ended under one of its users: whoever started it was cancelled or failed."""


class _Run:
    """One life of the root, from its host's arrival to the end of all its tasks."""

    def __init__(self) -> None:
        self.guests: set[trio.CancelScope] = set()
        self.started = trio.Event()
        self.closing = False
        self.ended = trio.Event()
        self.guest_left = trio.Event()


class Root:
    """Runs `body` while it is held. `body` takes `task_status` and says when it is ready.

    The first holder hosts the tasks, in a nursery of its own, so they live and fail inside it: when it leaves it waits
    for the others, and when it is cancelled or the body fails, the others are cancelled and get `RootEnded`.
    """

    def __init__(self, body: Body) -> None:
        self._body = body
        self._run: _Run | None = None

    @property
    def running(self) -> bool:
        """Whether the body is ready and not ending."""
        return self._run is not None and self._run.started.is_set() and not self._run.closing

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Keep the body running inside this block; entering returns once it is ready.

        Raises:
            RootEnded: the body ended while it was held.
            Exception: what the body raises, in the holder that hosts it.
        """
        while self._run is not None and self._run.closing:
            await self._run.ended.wait()
        if self._run is None:
            async with self._host():
                yield
        else:
            async with self._visit(self._run):
                yield

    @asynccontextmanager
    async def _host(self) -> AsyncIterator[None]:
        run = self._run = _Run()
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._body)
                run.started.set()
                yield
                while run.guests:
                    run.guest_left = trio.Event()
                    await run.guest_left.wait()
                run.closing = True
                nursery.cancel_scope.cancel(reason="the last user of the app has left")
        except BaseExceptionGroup as group:
            # The nursery is none of the caller's business: a single exception leaves as what it was.
            error = sole(group)
            raise error from error.__cause__  # noqa: ASYNC123 - its own context and cause are kept
        finally:
            run.closing = True
            self._run = None
            run.ended.set()
            run.started.set()
            for scope in run.guests:
                scope.cancel(reason="the app has ended")

    @asynccontextmanager
    async def _visit(self, run: _Run) -> AsyncIterator[None]:
        entered = False
        with trio.CancelScope() as scope:
            run.guests.add(scope)
            try:
                await run.started.wait()
                if not run.ended.is_set():
                    entered = True
                    yield
            finally:
                run.guests.discard(scope)
                run.guest_left.set()
        if scope.cancelled_caught or not entered or run.ended.is_set():
            raise RootEnded("the app has ended: whoever started it was cancelled or failed")
