"""Completing the arguments of prompts and the variables of templates."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from mcptrio.catalog import Ask, Catalog, Context, DeclarationError, InvalidArgument
from mcptrio.protocol import Failure, RpcError
from mcptrio.protocol.params import (
    CompleteParams,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceReference,
)
from mcptrio.protocol.results import Completion

from .captured_logs import captured_logs
from .fake_context import FakeContext

PROMPT = PromptReference(name="plan")
TEMPLATE = ResourceReference(uri="report://{country}/{city}")


class Sky(enum.Enum):
    CLEAR = "clear"
    CLOUDY = "cloudy"
    RAIN = "Rain"


def plan(
    city: str,
    sky: Sky = Sky.CLEAR,
    size: Annotated[Literal["s", "m", "xl"] | None, Meta(title="Size")] = None,
    level: Literal[1, 10, 2] = 1,
) -> str:
    return city


def report(country: str, city: str) -> str:
    return city


def a_catalog() -> Catalog:
    catalog = Catalog()
    catalog.add_prompt(plan)
    catalog.add_template(TEMPLATE.uri, report)
    return catalog


async def complete(
    catalog: Catalog,
    argument: str,
    value: str = "",
    ref: PromptReference | ResourceReference = PROMPT,
    given: dict[str, str] | None = None,
    context: Context | None = None,
) -> Completion:
    params = CompleteParams(ref=ref, argument=CompletionArgument(name=argument, value=value))
    if given is not None:
        params.context = CompletionContext(arguments=given)
    return await catalog.complete(params, context or FakeContext())


async def test_a_function_completes_and_gets_what_was_typed_and_the_other_arguments() -> None:
    catalog = a_catalog()
    seen: list[object] = []

    async def cities(typed: str, context: Context, others: Mapping[str, str]) -> list[str]:
        seen.append((typed, dict(others), context.principal))
        return ["oslo", "bergen"]

    catalog.completions(template=TEMPLATE.uri).set("city", cities)
    found = await complete(
        catalog,
        "city",
        "o",
        TEMPLATE,
        {"country": "norway", "city": "old", "foreign": "x"},
        FakeContext("alice"),
    )
    assert found == Completion(values=["oslo", "bergen"], total=2, has_more=False)
    assert seen == [("o", {"country": "norway"}, "alice")]


async def test_a_plain_function_completes_too_and_needs_no_more_than_the_value() -> None:
    catalog = a_catalog()
    catalog.completions(prompt="plan").set("city", lambda_free)
    assert (await complete(catalog, "city", "ab")).values == ["ab!"]


def lambda_free(value: str) -> tuple[str, ...]:
    return (f"{value}!",)


@pytest.mark.parametrize("uri", [TEMPLATE.uri, "report://norway/os"])
async def test_a_template_is_named_by_its_text_or_by_a_uri_that_fits(uri: str) -> None:
    catalog = a_catalog()
    catalog.completions(template=TEMPLATE.uri).set("country", ["norway", "Norfolk", "chile"])
    assert (await complete(catalog, "country", "no", ResourceReference(uri=uri))).values == [
        "norway",
        "Norfolk",
    ]


@pytest.mark.parametrize(
    ("argument", "typed", "values"),
    [
        ("sky", "", ["clear", "cloudy", "Rain"]),
        ("sky", "CL", ["clear", "cloudy"]),
        ("sky", "r", ["Rain"]),
        ("sky", "x", []),
        ("size", "", ["s", "m", "xl"]),
        ("level", "1", ["1", "10"]),
        ("city", "", []),
    ],
)
async def test_enums_and_literals_complete_by_themselves_and_other_arguments_do_not(
    argument: str, typed: str, values: list[str]
) -> None:
    found = await complete(a_catalog(), argument, typed)
    assert found == Completion(values=values, total=len(values), has_more=False)


async def test_what_is_declared_replaces_the_values_of_an_enum() -> None:
    catalog = a_catalog()
    catalog.completions(prompt="plan").set("sky", ["other"])
    assert (await complete(catalog, "sky")).values == ["other"]


@pytest.mark.parametrize("count", [0, 99, 100, 101, 1000])
async def test_a_hundred_values_are_sent_and_all_are_counted(count: int) -> None:
    catalog = a_catalog()

    async def many(value: str) -> list[str]:
        return [str(number) for number in range(count)]

    catalog.completions(prompt="plan").set("city", many)
    found = await complete(catalog, "city")
    assert found.values == [str(number) for number in range(min(count, 100))]
    assert (found.total, found.has_more) == (count, count > 100)


@given(st.lists(st.text(max_size=4), max_size=150), st.text(max_size=2))
def test_a_list_completes_what_it_has_in_its_order(values: list[str], typed: str) -> None:
    import trio

    catalog = a_catalog()
    catalog.completions(prompt="plan").set("city", values)
    found = trio.run(complete, catalog, "city", typed)
    fitting = [value for value in values if value.casefold().startswith(typed.casefold())]
    assert (found.values, found.total) == (fitting[:100], len(fitting))


@pytest.mark.parametrize(
    ("ref", "argument"),
    [
        (PromptReference(name="nothing"), "city"),
        (ResourceReference(uri="report://{other}"), "city"),
        (ResourceReference(uri="news:1"), "city"),
        (ResourceReference(uri=""), "city"),
        (PROMPT, "town"),
        (PROMPT, ""),
        (TEMPLATE, "town"),
    ],
)
async def test_an_unknown_reference_or_argument_is_refused(
    ref: PromptReference | ResourceReference, argument: str
) -> None:
    with pytest.raises(RpcError) as caught:
        await complete(a_catalog(), argument, ref=ref)
    assert caught.value.failure is Failure.INVALID_PARAMS


async def test_a_completion_that_fails_tells_a_correlation_id_only() -> None:
    async def broken(value: str) -> list[str]:
        raise RuntimeError("secret")

    async def wrong(value: str) -> str:
        return "oslo"

    async def mixed(value: str) -> list[object]:
        return ["oslo", 1]

    async def surrogate(value: str) -> list[str]:
        return ["\ud800"]

    for function in (broken, wrong, mixed, surrogate):
        catalog = a_catalog()
        catalog.completions(prompt="plan").set("city", function)
        with captured_logs() as logs, pytest.raises(RpcError) as caught:
            await complete(catalog, "city")
        assert caught.value.failure is Failure.INTERNAL
        assert isinstance(caught.value.data, dict)
        assert caught.value.data.keys() == {"correlationId"}
        assert "secret" not in caught.value.message
        assert logs[0]["correlation_id"] == caught.value.data["correlationId"]


async def test_a_completion_may_refuse_an_argument() -> None:
    async def picky(value: str) -> list[str]:
        raise InvalidArgument("no", "country")

    catalog = a_catalog()
    catalog.completions(prompt="plan").set("city", picky)
    with pytest.raises(RpcError, match="country") as caught:
        await complete(catalog, "city")
    assert caught.value.failure is Failure.INVALID_PARAMS


def nothing() -> list[str]:
    return []


def of_a_number(value: int) -> list[str]:
    return []


def of_two(value: str, other: str) -> list[str]:
    return []


def of_numbers(value: str, arguments: Mapping[str, int]) -> list[str]:
    return []


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (nothing, "one parameter `value: str`"),
        (of_a_number, "`value` is nothing that a completion gets"),
        (of_two, "one parameter `value: str`"),
        (of_numbers, "`arguments` is nothing that a completion gets"),
        ("oslo", "by a list of str"),
        (["oslo", 3], "by a list of str"),
    ],
)
def test_what_cannot_complete_is_refused(function: Callable[..., object], text: str) -> None:
    with pytest.raises(DeclarationError, match=text):
        a_catalog().completions(prompt="plan").set("city", function)


def test_an_argument_that_does_not_exist_cannot_be_completed() -> None:
    with pytest.raises(DeclarationError, match=r"'plan' has no argument 'town' .* city, sky, size, level"):
        a_catalog().completions(prompt="plan").set("town", [])
    with pytest.raises(ValueError, match="no prompt or template 'x'"):
        a_catalog().completions(prompt="x")


@dataclass
class Name:
    name: str


def test_neither_a_completion_nor_a_list_function_can_ask_the_client() -> None:
    def asking(value: str, name: Annotated[Name, Ask("Who?")]) -> list[str]:
        return []

    def listing(name: Annotated[Name, Ask("Who?")]) -> list[str]:
        return []

    catalog = a_catalog()
    with pytest.raises(DeclarationError, match="a completion cannot ask the client"):
        catalog.completions(prompt="plan").set("city", asking)
    with pytest.raises(DeclarationError, match="a list function cannot ask the client"):
        catalog.set_list(TEMPLATE.uri, listing)
