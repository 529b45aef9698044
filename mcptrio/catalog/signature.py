"""What a handler's signature says: which parameters are arguments and which are injected.

Every parameter must be annotated and passable by name; what cannot be offered is a `DeclarationError` that
names the function and the change to make. Injected types match exactly: a parameter annotated with a base or
a subclass of a declared type is an argument, not an injection.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from mcptrio.catalog.context import Context
from mcptrio.catalog.errors import DeclarationError
from mcptrio.catalog.questions import Declared, declared

Function = Callable[..., object]
"""A handler: plain or async, of any signature."""


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: object = _Missing()
"""Stands for "no default" and "no annotation", where None is a value."""


@dataclass(frozen=True, slots=True)
class Argument:
    """A parameter that the client fills."""

    name: str
    annotation: object
    default: object = MISSING


@dataclass(frozen=True, slots=True)
class Signature:
    """A handler's signature, read once at declaration."""

    function: str
    """Where the handler is, for messages: module and qualified name."""
    arguments: tuple[Argument, ...]
    injected: tuple[tuple[str, object], ...]
    """(parameter, type) of what the catalog's `provide` supplies; the context is not among them."""
    context: tuple[str, ...]
    """The parameters that get the request's context."""
    asked: tuple[Declared, ...]
    """The parameters that the client answers before the function is called."""
    returns: object
    is_async: bool


def describe(function: Function) -> str:
    """Module and name of a handler, for messages and logs."""
    inner = _innermost(function)
    name = getattr(inner, "__qualname__", None) or type(inner).__qualname__
    module = getattr(inner, "__module__", None) or type(inner).__module__
    return f"{module}.{name}"


def name_of(function: Function) -> str:
    """The plain name of a handler: what it is called unless the declaration says otherwise."""
    inner = _innermost(function)
    return getattr(inner, "__name__", None) or type(inner).__name__


def doc_of(function: Function) -> str | None:
    """The docstring without its indentation."""
    inner = _innermost(function)
    if not hasattr(inner, "__name__"):
        # inspect.getdoc of an instance would be its class's docstring: that is what an object handler has.
        return inspect.getdoc(type(inner))
    return inspect.getdoc(inner)


def read_signature(function: Function, injectable: Iterable[object] = ()) -> Signature:
    """Read a handler's signature; parameters annotated with one of `injectable` are injected.

    Raises:
        DeclarationError: when the signature cannot be offered.
    """
    where = describe(function)
    hints = _hints(function, where)
    arguments: list[Argument] = []
    injected: list[tuple[str, object]] = []
    context: list[str] = []
    asked: list[Declared] = []
    known = list(injectable)
    for parameter in _parameters(function, where):
        if parameter.name not in hints:
            raise DeclarationError(
                f"{where}: parameter `{parameter.name}` has no annotation; write `{parameter.name}: str`, "
                "or the type that it takes"
            )
        annotation = hints[parameter.name]
        bare = without_metadata(annotation)
        question = declared(where, parameter.name, annotation)
        if question is not None:
            if parameter.default is not parameter.empty:
                raise DeclarationError(
                    f"{where}: parameter `{parameter.name}` is asked for, so it has no default; remove it, and take an "
                    "`Elicited[...]` to go on without an answer"
                )
            asked.append(question)
        elif bare is Context:
            context.append(parameter.name)
        elif any(bare is type_ or bare == type_ for type_ in known):
            injected.append((parameter.name, bare))
        else:
            default = MISSING if parameter.default is parameter.empty else parameter.default
            arguments.append(Argument(parameter.name, annotation, default))
    return Signature(
        function=where,
        arguments=tuple(arguments),
        injected=tuple(injected),
        context=tuple(context),
        asked=tuple(asked),
        returns=hints.get("return", MISSING),
        is_async=_is_async(function, where),
    )


def without_metadata(annotation: object) -> object:
    """`Annotated[X, ...]` and NewTypes as X."""
    while True:
        if typing.get_origin(annotation) is typing.Annotated:
            annotation = typing.get_args(annotation)[0]
        elif isinstance(annotation, typing.NewType):
            annotation = annotation.__supertype__
        else:
            return annotation


def _innermost(function: Function) -> Function:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _hints(function: Function, where: str) -> dict[str, object]:
    inner = _innermost(function)
    if not inspect.isroutine(inner):
        inner = type(inner).__call__
    try:
        return typing.get_type_hints(inner, include_extras=True)
    except NameError as error:
        raise DeclarationError(
            f"{where}: the annotation {error.name!r} is not known where the function is defined; import it "
            "there at run time (not under TYPE_CHECKING), or define it at module level"
        ) from error
    except Exception as error:
        raise DeclarationError(f"{where}: an annotation cannot be read: {error}") from error


def _parameters(function: Function, where: str) -> Iterator[inspect.Parameter]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise DeclarationError(
            f"{where}: has no readable signature ({error}); wrap it in a function"
        ) from error
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            raise DeclarationError(
                f"{where}: `*{parameter.name}` cannot be offered, because clients pass arguments by name; "
                f"write `{parameter.name}: list[...]`"
            )
        if parameter.kind is parameter.VAR_KEYWORD:
            raise DeclarationError(
                f"{where}: `**{parameter.name}` cannot be offered, because clients see every argument's "
                f"name; name them, or write `{parameter.name}: dict[str, ...]`"
            )
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise DeclarationError(
                f"{where}: `{parameter.name}` is positional-only, but clients pass arguments by name; "
                "remove the `/`"
            )
        yield parameter


def _is_async(function: Function, where: str) -> bool:
    inner = _innermost(function)
    if not inspect.isroutine(inner):
        inner = type(inner).__call__
    if inspect.isasyncgenfunction(inner) or inspect.isgeneratorfunction(inner):
        raise DeclarationError(f"{where}: a handler returns one value; replace `yield` by collecting a list")
    return inspect.iscoroutinefunction(inner)
