"""How a body says that it is ready."""

from __future__ import annotations

import trio

from mcptrio.supervision.machine import Machine
from mcptrio.supervision.record import ChildRecord


class Ready(trio.TaskStatus[None]):
    """Tells the machine that one body is ready."""

    def __init__(self, machine: Machine, child: ChildRecord, scope: trio.CancelScope) -> None:
        self._machine = machine
        self._child = child
        self._scope = scope

    def started(self, value: None = None) -> None:
        """Ready. What a body says that is being stopped, or is not the child's any more, changes nothing."""
        if self._child.body is self._scope:
            self._machine.ready(self._child, trio.current_time())
