"""A tool: a handler with validated JSON arguments, an optional deadline and an optional concurrency bound."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import trio
from msgspec import UNSET, Raw

from mcptrio.catalog import incident
from mcptrio.catalog.arguments import JsonArguments
from mcptrio.catalog.content import Output, failure
from mcptrio.catalog.context import Context
from mcptrio.catalog.errors import DeclarationError, InvalidArgument, ResourceNotFound, ToolError
from mcptrio.catalog.given_schema import GivenArguments, GivenSchema
from mcptrio.catalog.handler import Handler, Injections
from mcptrio.catalog.header import headers_of
from mcptrio.catalog.metadata import checked_icons, checked_meta
from mcptrio.catalog.questions import MissingCapability
from mcptrio.catalog.signature import Function, describe, doc_of, name_of
from mcptrio.protocol import Revision, RpcError, types
from mcptrio.protocol.results import CallToolResult

_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,128}\Z")


class Tool:
    """One tool. Made by `Catalog.add_tool`; a call under way goes on when the tool is removed.

    `timeout` is in seconds and counts from the call, the waits for a slot and for the client's answers included. `concurrency` bounds the
    calls that run at a time; the others wait, first come, first served. A plain function runs in a thread,
    and no thread can be stopped: at the timeout the client gets its answer, the thread goes on, and it keeps
    its slot and its thread token until it ends.

    With `input_schema` the schema is told verbatim, and the arguments that conform to it come in the function's one
    parameter, a dict. With `output_schema` a result must conform to it; one that does not is the tool's own failure.
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
        icons: Sequence[types.Icon] | None = None,
        meta: Mapping[str, object] | None = None,
        timeout: float | None = None,
        concurrency: int | None = None,
        input_schema: Mapping[str, object] | None = None,
        output_schema: Mapping[str, object] | None = None,
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
        signature = self.handler.signature
        self._arguments: JsonArguments | GivenArguments = (
            JsonArguments(signature)
            if input_schema is None
            else GivenArguments(GivenSchema(where, "input_schema", input_schema), signature)
        )
        self.headers = headers_of(where, self._arguments.schema)
        """Which arguments a client repeats as HTTP headers."""
        self._output = Output(
            signature,
            None if output_schema is None else GivenSchema(where, "output_schema", output_schema),
        )
        description = description if description is not None else doc_of(function)
        self.listed = {
            revision: types.Tool(
                name=self.name,
                input_schema=self._arguments.schema,
                title=title or UNSET,
                description=description or UNSET,
                output_schema=self._output.schemas[revision],
                annotations=annotations or UNSET,
                icons=checked_icons(where, icons),
                meta=checked_meta(where, meta),
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
            RpcError: -32602 when the arguments are no JSON object; -32021 when the client would have to be asked what
                it cannot be (2026-07-28).
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
            single = incident.unwrap(error)
            if isinstance(single, MissingCapability) and revision is Revision.MODERN:
                raise incident.incapable(single) from None
            return self._failed(error)

    def _failed(self, error: Exception) -> CallToolResult:
        single = incident.unwrap(error)
        if isinstance(single, ToolError | InvalidArgument | ResourceNotFound):
            return failure(str(single))
        return failure(incident.told(incident.report("tool", self.name, error)))
