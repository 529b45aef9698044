"""What `@app.prompt` makes of a function: still callable, with arguments that can be completed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from mcptrio.app.declared_function import Completable
from mcptrio.catalog.completion import Completions

F = TypeVar("F", bound=Callable[..., object])


class PromptFunction(Completable[F]):
    """The function, and `complete`, the decorator for what completes an argument."""

    def __init__(self, fn: F, completions: Completions) -> None:
        super().__init__(fn)
        self._completed_by = completions

    def _completions(self) -> Completions:
        return self._completed_by
