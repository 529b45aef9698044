"""Demand: which parts of a source are to run, because somebody wants them. Sans-IO: times are passed in."""

from __future__ import annotations

import enum
import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass


class Stage(enum.Enum):
    """What a part that somebody wants, or that still runs, is doing."""

    WAITING = enum.auto()
    """It has no task. It gets one as soon as tasks can be started, and there is room for one."""
    RUNNING = enum.auto()
    """It has a task, or one that crashed and is about to be started again."""
    STOPPING = enum.auto()
    """Its task was told to stop and has not ended yet."""
    DONE = enum.auto()
    """Its task has ended by itself. It gets no other one for those who want it now."""


@dataclass(slots=True)
class _Part:
    wants: int = 0
    stage: Stage = Stage.WAITING


class Demand:
    """Counts who wants each part of one source, and decides when its task starts and when it is to stop.

    A part is started by its first want, and stopped when nobody has wanted it for `linger` seconds. What is
    wanted while its task stops starts again after the end of that; what ended by itself starts again when all
    who want it have gone and somebody comes. While no tasks can be started (`closed`, as it begins) wants are
    kept; `opened` starts what is wanted then.

    At most `most` tasks run at once. What is wanted beyond that waits, the first come first, for one of them to
    end (`admitted`); and while something waits nothing lingers for it: the task that has done so for longest is to
    stop at once.

    A method that says that a part starts counts it as started: the caller starts it in the same step. A part that
    nobody wants and that has no task is not kept.
    """

    def __init__(self, linger: float, most: float = math.inf) -> None:
        self._linger = linger
        self._most = most
        self._open = False
        self._tasks = 0
        """How many parts are running or stopping."""
        self._leaving = 0
        """How many of those stop, and are not wanted again."""
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._parts: dict[str, _Part] = {}
        # Until when. All linger equally long, so the order in which they began is the one in which they end; and a
        # plain dict grows slow at its beginning where that is taken away again and again.
        self._lingering: OrderedDict[str, float] = OrderedDict()

    @property
    def is_open(self) -> bool:
        """Whether tasks can be started."""
        return self._open

    # Who wants what.

    def want(self, part: str) -> bool:
        """Somebody more wants a part. Whether to start it now."""
        entry = self._parts.get(part)
        if entry is None:
            entry = self._parts[part] = _Part()
            self._waiting[part] = None
        entry.wants += 1
        self._lingering.pop(part, None)
        if entry.stage is Stage.STOPPING and entry.wants == 1:
            self._leaving -= 1
        if entry.stage is Stage.WAITING and self._has_room() and next(iter(self._waiting)) == part:
            self._run(part, entry)
            return True
        return False

    def _has_room(self) -> bool:
        return self._open and self._tasks < self._most

    def _run(self, part: str, entry: _Part) -> None:
        entry.stage = Stage.RUNNING
        self._tasks += 1
        del self._waiting[part]

    def unwant(self, part: str, now: float) -> None:
        """Takes back one `want`.

        Raises:
            KeyError: there is none to take back.
        """
        entry = self._parts[part]
        if not entry.wants:
            raise KeyError(part)
        entry.wants -= 1
        if entry.wants:
            return
        if entry.stage is Stage.RUNNING:
            self._lingering[part] = now + self._linger
        elif entry.stage is Stage.STOPPING:
            self._leaving += 1
        else:
            del self._parts[part]
            self._waiting.pop(part, None)

    # Time.

    def next_due(self) -> float:
        """When `due` will have something to stop; infinity if nothing lingers, minus infinity if room is needed."""
        for at in self._lingering.values():
            return at if self._needed() <= 0 else -math.inf
        return math.inf

    def _needed(self) -> int:
        """How many tasks have to stop yet for all that wait."""
        return len(self._waiting) - self._leaving if self._open else 0

    def due(self, now: float) -> list[str]:
        """What is to be told to stop now, because its linger is over or room is needed."""
        stopping: list[str] = []
        needed = self._needed()
        for part, at in self._lingering.items():
            if at > now and len(stopping) >= needed:
                break
            stopping.append(part)
        for part in stopping:
            del self._lingering[part]
            self._parts[part].stage = Stage.STOPPING
        self._leaving += len(stopping)
        return stopping

    # What becomes of tasks.

    def opened(self) -> list[str]:
        """Tasks can be started from now on. Returns what to start, in the order in which it was first wanted."""
        self._open = True
        return self.admitted()

    def admitted(self) -> list[str]:
        """What to start now of what waited: to be asked after whatever may have ended a task."""
        starting: list[str] = []
        while self._waiting and self._has_room():
            part = next(iter(self._waiting))
            self._run(part, self._parts[part])
            starting.append(part)
        return starting

    def closed(self) -> None:
        """No task can be started from now on, and none is left, or will be soon. Idempotent.

        What becomes of a task after this makes no difference any more.
        """
        self._open = False
        self._lingering.clear()
        self._parts = {part: _Part(entry.wants) for part, entry in self._parts.items() if entry.wants}
        self._waiting = OrderedDict.fromkeys(self._parts)
        self._tasks = self._leaving = 0

    def returned(self, part: str) -> None:
        """A part's task has ended by itself and is not started again by its supervisor."""
        entry = self._parts.get(part)
        if entry is not None and entry.stage is Stage.RUNNING:
            entry.stage = Stage.DONE
            self._tasks -= 1
            if not entry.wants:
                self._lingering.pop(part, None)
                del self._parts[part]

    def stopped(self, part: str) -> bool:
        """A part's task has ended because it was told to. Whether to start the part now.

        Where this did not ask for it somebody else did, who has his reasons: then it counts as `returned`.
        """
        entry = self._parts.get(part)
        if entry is None or entry.stage is not Stage.STOPPING:
            self.returned(part)
            return False
        if not entry.wants:
            del self._parts[part]
            self._tasks -= 1
            self._leaving -= 1
            return False
        entry.stage = Stage.RUNNING  # in its old place
        return True

    def restarted(self, part: str) -> None:
        """Somebody else has started a part again that was done."""
        entry = self._parts.get(part)
        if entry is not None and entry.stage is Stage.DONE:
            entry.stage = Stage.RUNNING
            self._tasks += 1

    # To be looked at.

    def is_about_to_start(self, part: str) -> bool:
        """Whether a part without a task of its own gets one as soon as some end that were, or are to be, told to stop."""
        stage = self.stage(part)
        if stage is Stage.WAITING:
            return self._open and self._needed() <= len(self._lingering)
        return stage is Stage.STOPPING and self.wants(part) > 0

    def waiting(self) -> tuple[str, ...]:
        """What is wanted and waits, for room or for tasks to be possible at all, the longest waiting first."""
        return tuple(self._waiting)

    def stage(self, part: str) -> Stage | None:
        """Where a part stands; None for one that nobody wants and that has no task."""
        entry = self._parts.get(part)
        return None if entry is None else entry.stage

    def wants(self, part: str) -> int:
        """How many want a part."""
        entry = self._parts.get(part)
        return 0 if entry is None else entry.wants

    def __len__(self) -> int:
        """How many parts are wanted or have a task."""
        return len(self._parts)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._parts))
