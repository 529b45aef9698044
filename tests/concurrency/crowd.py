"""Clients by the thousand: in memory, with frames by hand, so that a test of a thousand takes a second."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from mcptrio import App
from tests.adversary.world import Raw, listen, text
from tests.wire.rig import upgrade_request

Step = trio.lowlevel.Task


async def connect_many(app: App, count: int, *uris: str) -> list[Raw]:
    """So many clients, each listening to these URIs; `{}` in a URI is the client's number."""
    crowd = [Raw(app.server.connect()) for _ in range(count)]  # type: ignore[arg-type]

    async def open_one(number: int, raw: Raw) -> None:
        await raw.send(upgrade_request() + text(listen("l", *(uri.format(number) for uri in uris))))
        assert (await raw.take_head())[0] == 101
        assert (await raw.message())["method"] == "notifications/subscriptions/acknowledged"

    async with trio.open_nursery() as nursery:
        for number, raw in enumerate(crowd):
            nursery.start_soon(open_one, number, raw)
    return crowd


class CancelAtStep(trio.abc.Instrument):
    """Cancels a scope after the so-many-th step of any task: between any two steps of the whole program."""

    def __init__(self, scope: trio.CancelScope, step: int) -> None:
        self._scope = scope
        self._left = step

    def after_task_step(self, task: Step) -> None:
        self._left -= 1
        if self._left == 0:
            self._scope.cancel(reason="cancelled at a step")

    @property
    def reached(self) -> bool:
        """Whether there were so many steps."""
        return self._left <= 0


@contextmanager
def cancelled_at(step: int) -> Iterator[CancelAtStep]:
    """A block that is cancelled at a step."""
    with trio.CancelScope() as scope:
        instrument = CancelAtStep(scope, step)
        trio.lowlevel.add_instrument(instrument)
        try:
            yield instrument
        finally:
            trio.lowlevel.remove_instrument(instrument)


def living() -> int:
    """How many tasks there are."""
    return trio.lowlevel.current_statistics().tasks_living
