"""What a supervisor keeps of a child: one line of its table."""

from __future__ import annotations

from dataclasses import dataclass

import trio

from mcptrio.supervision.child import ChildInfo, ChildSpec, ChildState, Restart
from mcptrio.supervision.timers import Timer


@dataclass(slots=True, eq=False)
class ChildRecord:
    """A child's state over all its restarts. Owned by its supervisor; nobody else writes here.

    There are thousands of these: what few need (`timer`, `waiters`) is made when it is needed.
    """

    spec: ChildSpec
    state: ChildState
    since: float
    restarts: int = 0
    failures: int = 0  # in a row, for the backoff
    last_error: BaseException | None = None
    scope: trio.CancelScope | None = None  # of the body; None when there is none
    timer: Timer[ChildRecord] | None = None
    waiters: trio.Event | None = None  # set when it has ended or overstayed

    @property
    def temporary(self) -> bool:
        return self.spec.restart is Restart.TEMPORARY

    def info(self) -> ChildInfo:
        """What others may see."""
        spec = self.spec
        return ChildInfo(spec.name, self.state, spec.restart, self.since, self.restarts, self.last_error)
