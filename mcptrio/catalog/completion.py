"""Completion of the arguments of a prompt or the variables of a template, while somebody types them."""

from __future__ import annotations

import enum
import types as python_types
import typing
from collections.abc import Mapping, Sequence

import trio

from mcptrio.catalog import incident
from mcptrio.catalog.arguments import cut
from mcptrio.catalog.blocks import encodable
from mcptrio.catalog.context import Context
from mcptrio.catalog.errors import DeclarationError
from mcptrio.catalog.handler import Handler, Injections
from mcptrio.catalog.signature import Argument, Function, describe, without_metadata
from mcptrio.protocol import Failure, RpcError
from mcptrio.protocol.results import Completion

MOST = 100
"""How many values are sent, by the specification."""

_GIVEN = (dict[str, str], Mapping[str, str], typing.Dict[str, str], typing.Mapping[str, str])  # noqa: UP006


class Completions:
    """What completes the arguments of one prompt or template.

    By a function, or by a list of values that begin with what was typed, in capitals or not; a parameter that is an
    enum or a Literal has such a list by itself. An argument without either has no completions.
    """

    def __init__(
        self,
        kind: str,
        name: str,
        arguments: Sequence[Argument],
        injections: Injections,
        threads: trio.CapacityLimiter,
    ) -> None:
        self._kind = kind
        self._name = name
        self._injections = injections
        self._threads = threads
        self._by: dict[str, _Completer | Sequence[str]] = {
            argument.name: _choices(argument.annotation) for argument in arguments
        }

    def __bool__(self) -> bool:
        """Whether any argument has completions."""
        return any(self._by.values())

    def set(self, argument: str, by: Function | Sequence[str]) -> None:
        """Complete an argument by a function or a list of values, instead of what completed it so far.

        The function has a parameter annotated `str`, which gets what was typed so far; may have one annotated
        `Mapping[str, str]`, which gets the other arguments that have a value already, and injected ones. Plain or
        async. It returns a list of str, best first, of which 100 are sent; nothing is left out but by itself.

        Raises:
            DeclarationError: there is no such argument, or the function cannot complete anything.
        """
        if argument not in self._by:
            known = ", ".join(self._by) or "none"
            raise DeclarationError(
                f"{self._kind} {self._name!r} has no argument {argument!r} to complete, only: {known}"
            )
        if callable(by):
            self._by[argument] = _Completer(by, self._injections, self._threads)
        elif isinstance(by, str) or not all(isinstance(value, str) for value in by):
            raise DeclarationError(
                f"{self._kind} {self._name!r}: complete {argument!r} by a list of str or by a function"
            )
        else:
            self._by[argument] = tuple(by)

    async def complete(
        self, argument: str, value: str, given: Mapping[str, str], context: Context
    ) -> Completion:
        """What the argument may become. Checkpoints only where the function does.

        Raises:
            RpcError: -32602 when there is no such argument; else as the table in `mcptrio.catalog.errors` says.
        """
        by = self._by.get(argument)
        if by is None:
            raise RpcError.of(
                Failure.INVALID_PARAMS, f"Unknown argument `{cut(argument)}` of {cut(self._name)}"
            )
        if isinstance(by, _Completer):
            others = {name: each for name, each in given.items() if name in self._by and name != argument}
            try:
                values = _strings(await by.run(value, others, context))
            except Exception as error:
                raise incident.refusal("completion", f"{self._name} {argument}", error) from None
        else:
            typed = value.casefold()
            values = [each for each in by if each.casefold().startswith(typed)]
        return Completion(values=values[:MOST], total=len(values), has_more=len(values) > MOST)


class _Completer:
    """A function that completes one argument."""

    def __init__(self, function: Function, injections: Injections, threads: trio.CapacityLimiter) -> None:
        self._handler = Handler(function, injections, threads)
        if self._handler.signature.asked:
            raise DeclarationError(f"{describe(function)}: a completion cannot ask the client anything")
        value: list[str] = []
        given: list[str] = []
        for argument in self._handler.signature.arguments:
            bare = without_metadata(argument.annotation)
            if bare is str:
                value.append(argument.name)
            elif bare in _GIVEN:
                given.append(argument.name)
            else:
                raise DeclarationError(
                    f"{describe(function)}: `{argument.name}` is nothing that a completion gets; it gets what was "
                    "typed as `value: str`, and the other arguments as `arguments: Mapping[str, str]`"
                )
        if len(value) != 1 or len(given) > 1:
            raise DeclarationError(
                f"{describe(function)}: a completion has one parameter `value: str`, and at most one "
                "`arguments: Mapping[str, str]`"
            )
        self._value = value[0]
        self._given = given

    async def run(self, value: str, given: dict[str, str], context: Context) -> object:
        arguments: dict[str, object] = {self._value: value}
        for name in self._given:
            arguments[name] = given
        return await self._handler.run(arguments, context)


def _strings(values: object) -> list[str]:
    if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
        raise TypeError("a completion returns a list of str")
    return [encodable(value) for value in values]


def _choices(annotation: object) -> tuple[str, ...]:
    bare = without_metadata(annotation)
    if typing.get_origin(bare) in (typing.Union, python_types.UnionType):
        return tuple(choice for member in typing.get_args(bare) for choice in _choices(member))
    if typing.get_origin(bare) is typing.Literal:
        return tuple(str(value) for value in typing.get_args(bare) if value is not None)
    if isinstance(bare, type) and issubclass(bare, enum.Enum):
        return tuple(str(member.value) for member in bare)
    return ()
