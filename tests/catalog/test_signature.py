"""Reading handlers' signatures, and what a wrong declaration is told."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Annotated, NewType

import pytest
from msgspec import Meta

from mcptrio.catalog import Context, DeclarationError
from mcptrio.catalog.signature import MISSING, Argument, describe, doc_of, name_of, read_signature


class Pool:
    """Something a lifespan yields."""


class SmallPool(Pool):
    """A subclass, which is another type."""


PoolAlias = NewType("PoolAlias", Pool)


async def forecast(city: str, days: Annotated[int, Meta(ge=1)] = 1, *, pool: Pool, context: Context) -> str:
    """Forecast for a city.

    In words.
    """
    return f"{city} {days} {pool} {context}"


def test_arguments_injections_and_the_context_are_told_apart() -> None:
    signature = read_signature(forecast, [Pool])
    assert signature.arguments == (
        Argument("city", str, MISSING),
        Argument("days", Annotated[int, Meta(ge=1)], 1),
    )
    assert signature.injected == (("pool", Pool),)
    assert signature.context == ("context",)
    assert signature.returns is str
    assert signature.is_async
    assert repr(MISSING) == "MISSING"


def test_the_name_and_the_docstring_are_the_functions() -> None:
    assert name_of(forecast) == "forecast"
    assert describe(forecast) == f"{__name__}.forecast"
    assert doc_of(forecast) == "Forecast for a city.\n\nIn words."


def test_annotated_and_new_types_are_injected_as_what_they_stand_for() -> None:
    def tool(a: Annotated[Pool, "ours"], b: PoolAlias, c: Annotated[Context, "ours"]) -> None: ...

    signature = read_signature(tool, [Pool])
    assert signature.injected == (("a", Pool), ("b", Pool))
    assert signature.context == ("c",)


def test_a_subclass_of_an_injected_type_is_an_argument() -> None:
    def tool(pool: SmallPool) -> None: ...

    assert [argument.name for argument in read_signature(tool, [Pool]).arguments] == ["pool"]


def test_methods_partials_and_callable_objects_are_handlers() -> None:
    class Service:
        """A service."""

        async def method(self, city: str) -> int:
            """Count."""
            return len(city)

        async def __call__(self, city: str) -> int:
            return len(city)

    service = Service()
    handlers: list[tuple[Callable[..., object], str, str]] = [
        (service.method, "method", "Count."),
        (functools.partial(service.method), "method", "Count."),
        (service, "Service", "A service."),
    ]
    for function, name, doc in handlers:
        signature = read_signature(function)
        assert signature.arguments == (Argument("city", str),)
        assert signature.returns is int
        assert signature.is_async
        assert name_of(function) == name
        assert doc_of(function) == doc
        assert name in describe(function)


def test_what_a_partial_binds_has_a_default() -> None:
    assert read_signature(functools.partial(forecast, city="oslo"), [Pool]).arguments[0] == Argument(
        "city", str, "oslo"
    )


def test_a_wrapper_shows_the_wrapped_signature_and_runs_as_what_it_is() -> None:
    def traced(function: Callable[[str], Awaitable[int]]) -> Callable[[str], Awaitable[int]]:
        @functools.wraps(function)
        def wrapper(city: str) -> Awaitable[int]:
            return function(city)

        return wrapper

    @traced
    async def tool(city: str) -> int:
        return len(city)

    signature = read_signature(tool)
    assert signature.arguments == (Argument("city", str),)
    assert not signature.is_async


def variadic(*cities: str) -> None: ...


def keywords(**cities: str) -> None: ...


def positional(city: str, /) -> None: ...


def bare(city) -> None: ...  # type: ignore[no-untyped-def]


async def generator(city: str) -> AsyncIterator[str]:
    yield city


def plain_generator(city: str) -> Iterator[str]:
    yield city


def unknown_name(city: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821


def broken_string(city: "1 +") -> None: ...  # type: ignore[valid-type]  # noqa: F722


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (variadic, r"`\*cities`.*list\[\.\.\.\]"),
        (keywords, r"`\*\*cities`.*dict\[str, \.\.\.\]"),
        (positional, r"`city` is positional-only.*remove the `/`"),
        (bare, r"`city` has no annotation; write `city: str`"),
        (generator, r"collecting a list"),
        (plain_generator, r"collecting a list"),
        (unknown_name, r"'Nowhere' is not known.*TYPE_CHECKING"),
        (broken_string, r"cannot be read"),
        (max, r"no readable signature.*wrap it in a function"),
    ],
)
def test_what_cannot_be_offered_is_refused_naming_the_function_and_the_fix(
    function: Callable[..., object], message: str
) -> None:
    with pytest.raises(DeclarationError, match=message) as caught:
        read_signature(function)
    assert str(caught.value).startswith(describe(function) + ":")
