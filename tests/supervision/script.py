"""A body that does what its child's plan says, life after life."""

from __future__ import annotations

from mcptrio.supervision.record import ChildRecord  # noqa: F401
from tests.supervision.programs import Life


class Boom(Exception):
    """What a body raises."""


class Script:
    """What a `ChildSpec` runs."""

    def __init__(self, lives: tuple[Life, ...]) -> None:
        self._lives = lives
        self._begun = 0

    def next_life(self) -> Life:
        life = self._lives[min(self._begun, len(self._lives) - 1)]
        self._begun += 1
        return life

    async def __call__(self) -> None:
        raise NotImplementedError
