"""What handlers raise on purpose, and what a wrong declaration raises.

| raised | in a tool | in a resource, template or prompt |
|---|---|---|
| `ToolError` | result with `isError` and its text | unexpected |
| `ResourceNotFound` | result with `isError` | resource not found, `data.uri` |
| `InvalidArgument` | result with `isError`, names the argument | -32602 |
| `MissingCapability` | 2026-07-28: -32021, 2025-11-25: result with `isError` | -32021 |
| `QuestionFailed`, `Declined` | result with `isError` and its text | -32603 with `data.reason: unanswered` |
| anything else | result with `isError` and a correlation id only | -32603 with `data.correlationId` |

An exception group with a single member, at any depth, counts as that member. `trio.Cancelled` is never
caught.
"""

from __future__ import annotations


class DeclarationError(ValueError):
    """A tool, resource, template or prompt that cannot be offered as declared.

    The text names the function and says what to change.
    """


class ToolError(Exception):
    """A failure that the model should read: its text becomes a result with `isError`."""


class ResourceNotFound(Exception):
    """There is no such resource (now)."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.uri = uri

    def __str__(self) -> str:
        return f"Resource not found: {self.uri}"


class InvalidArgument(Exception):
    """An argument has the right type and still makes no sense; `argument` names it where known."""

    def __init__(self, message: str, argument: str | None = None) -> None:
        super().__init__(message, argument)
        self.message = message
        self.argument = argument

    def __str__(self) -> str:
        if self.argument is None:
            return self.message
        return f"Invalid argument `{self.argument}`: {self.message}"
