"""A tool: a handler with validated JSON arguments, an optional deadline and an optional concurrency bound."""

from __future__ import annotations

import math
import re

import trio
from msgspec import UNSET, Raw

from mcptrio.catalog import incident
from mcptrio.catalog.arguments import JsonArguments
from mcptrio.catalog.content import Output, failure
from mcptrio.catalog.context import Context
from mcptrio.catalog.errors import DeclarationError, InvalidArgument, ResourceNotFound, ToolError
from mcptrio.catalog.handler import Handler, Injections
from mcptrio.catalog.signature import Function, describe, doc_of, name_of
from mcptrio.protocol import Revision, RpcError, types
from mcptrio.protocol.results import CallToolResult

_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,128}\Z")


class Tool:
    """One tool. Made by `Catalog.add_tool`; a call under way goes on when the tool is removed.

    `timeout` is in seconds and counts from the call, the wait for a slot included. `concurrency` bounds the
    calls that run at a time; the others wait, first come, first served. A plain function runs in a thread,
    and no thread can be stopped: at the timeout the client gets its answer, the thread goes on, and it keeps
    its slot and its thread token until it ends.
    """

    def __init__(
        self,
        function: Function,
        injections: Injections,
        threads: trio.CapacityLimiter,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        annotations: types.ToolAnnotations | None = None,
        timeout: float | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Raises `DeclarationError` when the function cannot be offered as a tool."""
        where = describe(function)
        self.name = name if name is not None else name_of(function)
        if _NAME.match(self.name) is None:
            raise DeclarationError(
                f"{where}: a tool's name is 1 to 128 of A-Z a-z 0-9 _ . -, and {self.name!r} is not; pass "
                "name=..."
            )
        if timeout is not None and not (0 < timeout < math.inf):
            raise DeclarationError(
                f"{where}: timeout={timeout!r} must be a positive number of seconds, or None"
            )
        if concurrency is not None and concurrency < 1:
            raise DeclarationError(f"{where}: concurrency={concurrency!r} must be at least 1, or None")
        self.handler = Handler(function, injections, threads)
        self.timeout = timeout
        self._slots = None if concurrency is None else trio.CapacityLimiter(concurrency)
        self._arguments = JsonArguments(self.handler.signature)
        self._output = Output(self.handler.signature)
        description = description if description is not None else doc_of(function)
        self.listed = {
            revision: types.Tool(
                name=self.name,
                input_schema=self._arguments.schema,
                title=title or UNSET,
                description=description or UNSET,
                output_schema=self._output.schemas[revision],
                annotations=annotations or UNSET,
            )
            for revision in Revision
        }
        """The tool as a client of each revision sees it."""

    async def call(
        self, arguments: Raw | bytes | None, context: Context, revision: Revision
    ) -> CallToolResult:
        """Validate, run, and turn whatever happens into a result.

        Checkpoints only where the handler does. If cancelled, nothing is answered.

        Raises:
            RpcError: -32602 when the arguments are no JSON object.
        """
        try:
            keywords = self._arguments.read(arguments)
        except RpcError:
            raise
        except Exception as error:
            return self._failed(error)
        try:
            if self.timeout is None:
                value = await self.handler.run(keywords, context, slots=self._slots)
            else:
                with trio.move_on_after(self.timeout) as scope:
                    value = await self.handler.run(keywords, context, slots=self._slots, abandon=True)
                if scope.cancelled_caught:
                    return failure(f"{self.name} timed out after {self.timeout:g} s")
            return self._output.result(value, revision)
        except Exception as error:
            return self._failed(error)

    def _failed(self, error: Exception) -> CallToolResult:
        single = incident.unwrap(error)
        if isinstance(single, ToolError | InvalidArgument | ResourceNotFound):
            return failure(str(single))
        return failure(incident.told(incident.report("tool", self.name, error)))
