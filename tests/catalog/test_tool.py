"""Calling tools: arguments, injection, results and failures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
import pytest
import trio
from msgspec import Meta

from mcptrio.catalog import (
    Catalog,
    Context,
    DeclarationError,
    InvalidArgument,
    ResourceNotFound,
    Tool,
    ToolError,
)
from mcptrio.protocol import Failure, Revision, RpcError

from .calls import call, text_of
from .captured_logs import captured_logs
from .fake_context import FakeContext


class Pool: ...


async def forecast(
    city: str, days: Annotated[int, Meta(ge=1, le=7)] = 1, *, pool: Pool, context: Context
) -> str:
    await context.progress(1, total=days, message="asking")
    return f"{city}: {days}, {pool.__class__.__name__}, {context.principal}"


async def test_a_tool_gets_its_arguments_and_what_is_injected() -> None:
    catalog = Catalog()
    catalog.declare(Pool)
    catalog.add_tool(forecast)
    catalog.provide(Pool, Pool())
    context = FakeContext("alice")
    result = await call(catalog, "forecast", msgspec.Raw(b'{"city": "oslo", "days": 3.0}'), context)
    assert text_of(result) == "oslo: 3, Pool, alice"
    assert context.reports == [(1, 3, "asking")]
    assert set(catalog.tools(Revision.MODERN)[0].input_schema["properties"]) == {"city", "days"}  # type: ignore[call-overload]


@pytest.mark.parametrize("name", ["context", "pool"])
async def test_a_client_cannot_fill_what_is_injected(name: str) -> None:
    catalog = Catalog()
    catalog.declare(Pool)
    catalog.add_tool(forecast)
    result = await call(catalog, "forecast", b'{"city": "oslo", "%s": {}}' % name.encode())
    assert text_of(result) == f"Unknown argument `{name}` (known: city, days)"


async def test_a_wrong_argument_is_a_result_that_names_it() -> None:
    catalog = Catalog()
    catalog.declare(Pool)
    catalog.add_tool(forecast)
    result = await call(catalog, "forecast", b'{"city": "oslo", "days": 8}')
    assert result.is_error is True
    assert text_of(result) == "Invalid argument `days`: Expected `int` <= 7"


@pytest.mark.parametrize(("name", "arguments"), [("nowhere", None), ("forecast", b"[]")])
async def test_an_unknown_tool_and_malformed_params_are_errors(name: str, arguments: bytes | None) -> None:
    catalog = Catalog()
    catalog.declare(Pool)
    catalog.add_tool(forecast)
    with pytest.raises(RpcError) as caught:
        await call(catalog, name, arguments)
    assert caught.value.failure is Failure.INVALID_PARAMS
    if name == "nowhere":
        assert caught.value.message == "Unknown tool: nowhere"


def raising(error: BaseException) -> Callable[[], Awaitable[None]]:
    async def tool() -> None:
        raise error

    return tool


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ToolError("no such city"), "no such city"),
        (ExceptionGroup("", [ExceptionGroup("", [ToolError("no such city")])]), "no such city"),
        (InvalidArgument("must be a city", "city"), "Invalid argument `city`: must be a city"),
        (InvalidArgument("these cities clash"), "these cities clash"),
        (ResourceNotFound("x://1"), "Resource not found: x://1"),
    ],
)
async def test_what_a_tool_raises_on_purpose_is_told_and_not_logged(error: Exception, text: str) -> None:
    catalog = Catalog()
    catalog.add_tool(raising(error), name="t")
    with captured_logs() as logs:
        result = await call(catalog, "t")
    assert result.is_error is True
    assert text_of(result) == text
    assert logs == []


@pytest.mark.parametrize(
    "error",
    [
        KeyError("secret"),
        RpcError("secret"),
        trio.TooSlowError("secret"),
        ExceptionGroup("secret", [ToolError("secret"), ValueError("secret")]),
    ],
)
async def test_an_unexpected_exception_is_logged_and_only_its_id_is_told(error: Exception) -> None:
    catalog = Catalog()
    catalog.add_tool(raising(error), name="t")
    with captured_logs() as logs:
        result = await call(catalog, "t")
    [entry] = logs
    assert result.is_error is True
    assert text_of(result) == f"Internal error (correlation id {entry['correlation_id']})"
    assert len(str(entry["correlation_id"])) == 16
    assert (entry["event"], entry["kind"], entry["handler"]) == ("handler failed", "tool", "t")
    assert entry["error"] is error


async def test_an_exception_in_reading_an_argument_is_unexpected() -> None:
    class Odd(msgspec.Struct):
        def __post_init__(self) -> None:
            raise KeyError("odd")

    def tool(odd: object) -> None: ...

    tool.__annotations__["odd"] = Odd
    catalog = Catalog()
    catalog.add_tool(tool)
    with captured_logs() as logs:
        result = await call(catalog, "tool", b'{"odd": {}}')
    assert "correlation id" in text_of(result)
    assert len(logs) == 1


async def test_a_result_that_cannot_be_encoded_is_unexpected() -> None:
    catalog = Catalog()
    catalog.add_tool(lambda: object(), name="t")
    with captured_logs() as logs:
        result = await call(catalog, "t")
    assert "correlation id" in text_of(result)
    assert len(logs) == 1


async def test_an_injection_that_nobody_provides_is_unexpected() -> None:
    catalog = Catalog()
    catalog.declare(Pool)
    catalog.add_tool(forecast)
    catalog.provide(Pool, Pool())
    catalog.withdraw(Pool)
    with captured_logs() as logs:
        result = await call(catalog, "forecast", b'{"city": "oslo"}')
    assert "correlation id" in text_of(result)
    assert "nothing provides" in str(logs[0]["error"])


def plain() -> None: ...


@pytest.mark.parametrize("name", ["", "a b", "x" * 129, "é", "a/b", "a\n"])
def test_a_bad_tool_name_is_refused(name: str) -> None:
    with pytest.raises(DeclarationError, match=r"plain: a tool's name is 1 to 128"):
        Catalog().add_tool(plain, name=name)


def test_a_lambda_needs_a_name() -> None:
    with pytest.raises(DeclarationError, match=r"'<lambda>' is not; pass name="):
        Catalog().add_tool(lambda: None)


@pytest.mark.parametrize("timeout", [0, -1.0, float("inf"), float("nan")])
def test_a_timeout_must_be_a_positive_number(timeout: float) -> None:
    with pytest.raises(DeclarationError, match=r"plain: timeout="):
        Catalog().add_tool(plain, timeout=timeout)


def test_a_concurrency_must_be_positive() -> None:
    with pytest.raises(DeclarationError, match=r"plain: concurrency=0"):
        Catalog().add_tool(plain, concurrency=0)


def test_adding_a_tool_gives_the_tool() -> None:
    tool = Catalog().add_tool(plain, name="other", title="Other", description="Does nothing.", timeout=3)
    assert isinstance(tool, Tool)
    assert (tool.name, tool.timeout) == ("other", 3)
    listed = tool.listed[Revision.LEGACY]
    assert (listed.name, listed.title, listed.description) == ("other", "Other", "Does nothing.")
