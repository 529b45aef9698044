"""Hearing that something happens below a directory: watchfiles, in a thread."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial

import trio
from msgspec import Struct

_STEP = 50
"""Milliseconds between two looks for news, or for the word to stop."""
_TIMEOUT = 100
"""Milliseconds after which watchfiles gives up a wait in vain; it says so, and that is how we learn that it works."""
_ROOT_CHECK = 10
"""Turns after which it is seen whether the directory is still the same: of that there may be no word."""

THREAD = "files watch"
"""Name of the thread that listens."""


class Watch:
    """What is heard of a set of folders. Words are merged: it is known that there is news, not how much."""

    def __init__(self) -> None:
        self.fault = ""
        """Why nothing is heard (any more); empty while all is well."""
        self.stale = False
        """One of the folders has gone, or is another one now: it has to be watched anew."""
        self._news = False
        self._lot = trio.lowlevel.ParkingLot()

    def tell_nowait(self, *, stale: bool = False, fault: str = "") -> None:
        """There is news."""
        self._news = True
        self.stale = self.stale or stale
        self.fault = self.fault or fault
        self._lot.unpark_all()

    async def heard(self) -> None:
        """Wait for news since the last time. If cancelled, none is lost."""
        await trio.lowlevel.checkpoint()
        while not self._news:
            await self._lot.park()
        self._news = False


class Watched(Struct, frozen=True):
    """What is to be watched: folders by their whole paths, none of those below them; the first is the root."""

    folders: tuple[str, ...]
    irrelevant: Callable[[str], bool]
    """Whether it does not matter what happens to this whole path. Called in a thread."""


@asynccontextmanager
async def open_watch(watched: Watched) -> AsyncIterator[Watch]:
    """Watch inside the block. It begins when all folders are watched, or with a `fault` if they cannot be.

    Leaving, and cancelling, takes no time: the thread ends by itself within a tenth of a second.
    """
    watch = Watch()
    stop = threading.Event()
    async with trio.open_nursery() as nursery:
        try:
            await nursery.start(_listen, watched, watch, stop)
            yield watch
        finally:
            stop.set()
            nursery.cancel_scope.cancel(reason="nobody listens any more")


async def _listen(  # noqa: ASYNC114  not a thing to be entered: it is always started
    watched: Watched, watch: Watch, stop: threading.Event, *, task_status: trio.TaskStatus[None]
) -> None:
    begun = False

    def begin() -> None:
        nonlocal begun
        if not begun:
            begun = True
            task_status.started()

    try:
        # Abandoned when cancelled: `stop` ends it, and meanwhile it changes nothing.
        await trio.to_thread.run_sync(
            partial(_hear, watched, watch, stop, begin),
            abandon_on_cancel=True,
            limiter=trio.CapacityLimiter(1),
            thread_name=THREAD,
        )
    except FileNotFoundError:
        watch.tell_nowait(stale=True)  # a folder has gone since it was seen
    except Exception as error:
        # What the operating system refuses, and watchfiles' own: the watch is no more, whatever it was.
        watch.tell_nowait(fault=_words(error))
    except BaseException:
        begun = True  # the thread may live a moment longer, and begin when nobody waits for that any more
        raise
    begin()


def _hear(watched: Watched, watch: Watch, stop: threading.Event, begin: Callable[[], None]) -> None:
    """The thread: hand over what is heard, until told to stop."""
    from watchfiles import Change
    from watchfiles import watch as hear

    root = watched.folders[0]
    folders = frozenset(watched.folders)
    identity = _identity(root)
    turns = hear(
        *watched.folders,
        watch_filter=None,
        debounce=2 * _STEP,
        step=_STEP,
        stop_event=stop,
        rust_timeout=_TIMEOUT,
        yield_on_timeout=True,
        raise_interrupt=False,
        # The folders are named one by one: watchfiles itself would go through links, out of the directory.
        recursive=False,
    )
    for turn, changes in enumerate(turns):
        if turn == 0:
            trio.from_thread.run_sync(begin)
        stale = any(path in folders and change is not Change.modified for change, path in changes)
        if turn % _ROOT_CHECK == _ROOT_CHECK - 1:
            stale = stale or _identity(root) != identity
        if stale or any(not watched.irrelevant(path) for _, path in changes):
            trio.from_thread.run_sync(partial(watch.tell_nowait, stale=stale))


def _identity(root: str) -> tuple[int, int] | None:
    try:
        status = os.stat(root)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}"


def whole_paths(root: str, folders: Iterable[str]) -> tuple[str, ...]:
    """Whole paths of folders below a directory, the directory itself first."""
    return (root, *(f"{root.rstrip('/')}/{folder}" for folder in folders if folder))
