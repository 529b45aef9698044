"""Prompts: string arguments in, messages out."""

from __future__ import annotations

from typing import Annotated

import pytest
from msgspec import UNSET, Meta

from mcptrio.catalog import Catalog, Context, DeclarationError, InvalidArgument
from mcptrio.protocol import Failure, RpcError
from mcptrio.protocol.types import PromptArgument, PromptMessage, TextContent

from .captured_logs import captured_logs
from .fake_context import FakeContext, a_context


def user(text: str) -> PromptMessage:
    return PromptMessage(role="user", content=TextContent(text=text))


async def review(
    code: Annotated[str, Meta(description="What to review")], rounds: int = 1, *, context: Context
) -> list[str | PromptMessage]:
    """Review some code."""
    return [f"{context.principal}: {code}", user(f"{rounds} times")]


def a_catalog() -> Catalog:
    catalog = Catalog()
    catalog.add_prompt(review)
    return catalog


async def test_a_prompt_is_filled_in() -> None:
    result = await a_catalog().get_prompt("review", {"code": "x = 1", "rounds": "2"}, FakeContext("alice"))
    assert result.messages == [user("alice: x = 1"), user("2 times")]
    assert result.description == "Review some code."


def test_a_prompt_lists_its_arguments() -> None:
    catalog = a_catalog()
    catalog.add_prompt(lambda: "hi", name="greet", title="Greet", description="Says hi")
    listed, plain = catalog.prompts()
    assert (listed.name, listed.title, listed.description) == ("review", UNSET, "Review some code.")
    assert listed.arguments == [
        PromptArgument(name="code", description="What to review", required=True),
        PromptArgument(name="rounds", required=False),
    ]
    assert (plain.title, plain.description, plain.arguments) == ("Greet", "Says hi", UNSET)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("nothing", {}, "Unknown prompt: nothing"),
        ("review", None, "Missing argument `code`"),
        ("review", {"rounds": "1"}, "Missing argument `code`"),
        ("review", {"code": "x", "tone": "y"}, "Unknown argument `tone` (known: code, rounds)"),
        ("review", {"code": "x", "rounds": "y"}, "Invalid argument `rounds`: Expected `int`, got `str`"),
    ],
)
async def test_wrong_arguments_are_errors_that_name_them(
    name: str, arguments: dict[str, str] | None, message: str
) -> None:
    with pytest.raises(RpcError) as caught:
        await a_catalog().get_prompt(name, arguments, a_context())
    assert caught.value.failure is Failure.INVALID_PARAMS
    assert caught.value.message == message


async def test_what_a_prompt_raises_is_mapped() -> None:
    catalog = Catalog()

    def refuses() -> str:
        raise InvalidArgument("not today")

    def breaks() -> str:
        raise KeyError("secret")

    catalog.add_prompt(refuses)
    catalog.add_prompt(breaks)
    catalog.add_prompt(lambda: 3, name="wrong")
    with pytest.raises(RpcError, match="not today"):
        await catalog.get_prompt("refuses", {}, a_context())
    for name in ["breaks", "wrong"]:
        with captured_logs() as logs, pytest.raises(RpcError) as caught:
            await catalog.get_prompt(name, {}, a_context())
        assert caught.value.failure is Failure.INTERNAL
        assert caught.value.data == {"correlationId": logs[0]["correlation_id"]}


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 129])
def test_a_bad_prompt_name_is_refused(name: str) -> None:
    with pytest.raises(DeclarationError, match=r"review: a prompt's name is 1 to 128 printable characters"):
        Catalog().add_prompt(review, name=name)


def test_a_prompt_takes_no_lists() -> None:
    def prompt(tags: list[str]) -> str:
        return ""

    with pytest.raises(DeclarationError, match=r"`tags` arrives as a string"):
        Catalog().add_prompt(prompt)
