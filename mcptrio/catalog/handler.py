"""Running a handler: injection, threads for plain functions, and nothing of Trio's cancellation swallowed."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import cast

import trio

from mcptrio.catalog import incident
from mcptrio.catalog.context import Context
from mcptrio.catalog.signature import Function, Signature, read_signature

_JSON_TYPES = frozenset(
    {object, str, bytes, int, float, bool, complex, list, tuple, dict, set, frozenset, type(None)}
)

_PASSING = (trio.Cancelled, KeyboardInterrupt, GeneratorExit)
"""What is no handler's own failure, and passes through."""


class Injections:
    """The types that handlers get by annotation, and their values while the app runs.

    Types match exactly: no subclass and no base. Owned by the catalog.
    """

    def __init__(self) -> None:
        self._declared: list[object] = []
        self._values: dict[object, object] = {}

    @property
    def declared(self) -> tuple[object, ...]:
        """Every declared type, in order."""
        return tuple(self._declared)

    def declare(self, type_: object) -> None:
        """Make a type injectable for handlers declared from now on. Idempotent.

        Raises:
            ValueError: for a plain JSON type, which would turn every such argument into an injection.
        """
        if type_ in _JSON_TYPES:
            raise ValueError(
                f"{type_!r} cannot be injected, because arguments have that type too; use a class of yours"
            )
        if type_ is Context:
            raise ValueError("Context is always injected and cannot be provided")
        if type_ not in self._declared:
            self._declared.append(type_)

    def provide(self, type_: object, value: object) -> None:
        """Set the value of a declared type, replacing an earlier one.

        Raises:
            ValueError: when the type was not declared.
        """
        if type_ not in self._declared:
            raise ValueError(f"{type_!r} was not declared; call declare() before the handlers are added")
        self._values[type_] = value

    def withdraw(self, type_: object) -> None:
        """Forget the value: its life is over. Idempotent."""
        self._values.pop(type_, None)

    def value(self, type_: object) -> object:
        """The value of a declared type.

        Raises:
            RuntimeError: when there is none now.
        """
        try:
            return self._values[type_]
        except KeyError:
            raise RuntimeError(f"nothing provides {type_!r} now; is the lifespan running?") from None


class Handler:
    """A function with what is needed to run it."""

    def __init__(self, function: Function, injections: Injections, threads: trio.CapacityLimiter) -> None:
        """Raises `DeclarationError` when the signature cannot be offered."""
        self.function = function
        self.signature: Signature = read_signature(function, injections.declared)
        self._injections = injections
        self._threads = threads
        self._context = self.signature.context
        self._injected = self.signature.injected
        self._is_async = self.signature.is_async
        self._call = cast("Callable[..., Awaitable[object]]", function)

    async def run(
        self,
        arguments: dict[str, object],
        context: Context,
        *,
        slots: trio.CapacityLimiter | None = None,
        abandon: bool = False,
    ) -> object:
        """Call the function with `arguments` (which this call may change) and everything injected.

        With `slots`, the call waits for one of them, first come, first served. A plain function runs in a
        thread and holds its slot and one of the catalog's thread tokens until the thread has ended, even if
        the caller left. With `abandon` a cancelled caller leaves at once and the thread goes on alone,
        otherwise the caller waits for it. The thread may ask `trio.from_thread.check_cancelled()`.

        If cancelled, an async function sees `trio.Cancelled` at its next checkpoint, and it passes through.
        Errors that come in one group with `Cancelled` are logged, so that they cannot hide it.

        Parameters declared as questions are asked first, before the call takes a slot.

        Raises:
            QuestionFailed: one of them has no answer that can be used.
        """
        if self.signature.asked:
            answers = await context.ask_all({each.name: each.question for each in self.signature.asked})
            for each in self.signature.asked:
                arguments[each.name] = each.value(answers[each.name])
        for name in self._context:
            arguments[name] = context
        for name, type_ in self._injected:
            arguments[name] = self._injections.value(type_)
        try:
            if not self._is_async:
                return await self._in_thread(arguments, slots, abandon)
            if slots is None:
                return await self._call(**arguments)
            # Not `async with slots`: a handler may call its own tool in the same task.
            borrower = object()
            await slots.acquire_on_behalf_of(borrower)
            try:
                return await self._call(**arguments)
            finally:
                slots.release_on_behalf_of(borrower)
        except BaseExceptionGroup as group:
            passing, own = group.split(_PASSING)
            if own is None or (passing is None and isinstance(own, Exception)):
                raise
            if passing is None:
                raise RuntimeError(f"{self.signature.function} raised {own}") from own
            incident.report("cancelled", self.signature.function, own)
            raise passing from None
        except (Exception, trio.Cancelled, KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            # SystemExit and its like: a handler ends its request with it, not everybody's server.
            raise RuntimeError(f"{self.signature.function} raised {type(error).__name__}: {error}") from error

    async def _in_thread(
        self, arguments: dict[str, object], slots: trio.CapacityLimiter | None, abandon: bool
    ) -> object:
        limiter = (
            self._threads if slots is None else cast("trio.CapacityLimiter", _Both(slots, self._threads))
        )
        # Boxed, because Trio refuses to hand over a coroutine.
        (value,) = await trio.to_thread.run_sync(
            lambda: (self.function(**arguments),), abandon_on_cancel=abandon, limiter=limiter
        )
        # From a plain wrapper around an async function: the body belongs on the Trio thread.
        return await value if inspect.iscoroutine(value) else value


class _Both:
    """Two limiters in a row, in the form that `to_thread.run_sync` takes: it releases when the thread has
    ended.
    """

    def __init__(self, first: trio.CapacityLimiter, second: trio.CapacityLimiter) -> None:
        self._first = first
        self._second = second

    async def acquire_on_behalf_of(self, borrower: object) -> None:
        await self._first.acquire_on_behalf_of(borrower)
        try:
            await self._second.acquire_on_behalf_of(borrower)
        except BaseException:
            self._first.release_on_behalf_of(borrower)
            raise

    def release_on_behalf_of(self, borrower: object) -> None:
        self._second.release_on_behalf_of(borrower)
        self._first.release_on_behalf_of(borrower)
