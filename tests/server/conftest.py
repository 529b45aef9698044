"""Every async test of this folder runs under a clock that jumps whenever all tasks wait.

Threads do not mix with it: handlers are async here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from inspect import iscoroutinefunction
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.abc import Instrument


def _run_jumping(
    fn: Callable[[], Awaitable[None]], *, clock: object, instruments: Sequence[Instrument]
) -> None:
    trio.run(fn, clock=trio.testing.MockClock(autojump_threshold=0), instruments=instruments)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and iscoroutinefunction(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.trio(run=_run_jumping), append=False)
