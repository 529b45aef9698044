"""What a decorator makes of a function that can be told more about later. It stays callable."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, overload

from mcptrio.catalog.completion import Completions

F = TypeVar("F", bound=Callable[..., object])
G = TypeVar("G", bound=Callable[..., object])


class DeclaredFunction(Generic[F]):
    """The function `fn`, which calling this calls."""

    def __init__(self, fn: F) -> None:
        self.fn = fn
        functools.update_wrapper(self, fn)

    @property
    def __call__(self) -> F:
        """Call the function itself."""
        return self.fn


class Completable(DeclaredFunction[F]):
    """A function with arguments that clients may complete while somebody types them."""

    def _completions(self) -> Completions:
        raise NotImplementedError

    @overload
    def complete(self, argument: str, values: Sequence[str], /) -> None: ...

    @overload
    def complete(self, argument: str, /) -> Callable[[G], G]: ...

    def complete(self, argument: str, values: Sequence[str] | None = None, /) -> Callable[[G], G] | None:
        """Complete an argument by what this decorator is put on, or by those of `values` that begin with what was typed.

        `@report.complete("city")` is for `def cities(value: str) -> list[str]`, plain or async, which gets what was
        typed so far. It may have a parameter annotated `Mapping[str, str]` too, which gets the other arguments that have
        a value already, and injected ones. It returns all that fits, best first; at most 100 are sent. An argument
        that is an enum or a Literal is completed without.

        Raises:
            DeclarationError: there is no such argument, or the function cannot complete it.
        """
        if values is not None:
            self._completions().set(argument, values)
            return None

        def declare(fn: G) -> G:
            self._completions().set(argument, fn)
            return fn

        return declare
