"""What can be seen of a lifespan or source when it is declared."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable

from mcptrio.catalog import DeclarationError


def name_of(fn: object) -> str:
    """How a function is called in a refusal."""
    return getattr(fn, "__qualname__", None) or repr(fn)


def check_source(fn: Callable[..., object], *, each: bool = False) -> None:
    """Refuse, by DeclarationError, what could only crash as a source.

    With `each` it takes more than its feed; whether that goes with its pattern is the registry's to say.
    """
    fits = inspect.iscoroutinefunction(fn)
    if fits:
        try:
            bind = inspect.signature(fn).bind_partial if each else inspect.signature(fn).bind
            bind("feed")
        except TypeError:
            fits = False
    if not fits:
        more = ", city: str" if each else ""
        takes_more = inspect.iscoroutinefunction(fn) and len(inspect.signature(fn).parameters) > 1
        hint = (
            "; with each=True it takes the variables of its pattern, too" if takes_more and not each else ""
        )
        raise DeclarationError(f"{name_of(fn)}: a source is `async def name(feed: Feed{more}) -> None`{hint}")


def yielded_type(fn: Callable[..., object]) -> object:
    """The type that a lifespan yields, by its return annotation; DeclarationError where there is none."""
    name = name_of(fn)
    if not inspect.isasyncgenfunction(fn):
        raise DeclarationError(
            f"{name}: a lifespan is an async generator function: `async def` with one `yield`"
        )
    try:
        annotation = typing.get_type_hints(fn).get("return")
    except NameError as error:
        raise DeclarationError(f"{name}: its return annotation cannot be read: {error}") from error
    arguments = typing.get_args(annotation)
    if not arguments:
        raise DeclarationError(f"{name}: annotate what it yields, such as `-> AsyncIterator[Pool]`")
    yielded: object = arguments[0]
    return yielded
