"""Calling a tool of a catalog without a server."""

from __future__ import annotations

import msgspec

from mcptrio.catalog import Catalog, Context
from mcptrio.protocol import Revision
from mcptrio.protocol.results import CallToolResult
from mcptrio.protocol.types import TextContent

from .fake_context import a_context


def text_of(result: CallToolResult) -> str:
    [block] = result.content
    assert isinstance(block, TextContent)
    return block.text


async def call(
    catalog: Catalog, name: str, arguments: bytes | msgspec.Raw | None = None, context: Context | None = None
) -> CallToolResult:
    return await catalog.call_tool(name, arguments, context or a_context(), Revision.MODERN)
