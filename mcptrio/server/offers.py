"""What the catalog offers, spoken as MCP: lists in pages, reads, tool calls, prompts."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import UNSET

from mcptrio.catalog import Catalog, Context
from mcptrio.protocol import Failure, Revision, RpcError
from mcptrio.protocol.params import (
    CallToolParams,
    CompleteParams,
    GetPromptParams,
    PageParams,
    ResourceParams,
)
from mcptrio.protocol.results import (
    CallToolResult,
    CompleteResult,
    GetPromptResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    ReadResourceResult,
)
from mcptrio.protocol.types import Annotations, ResourceContents
from mcptrio.server.context import RequestContext
from mcptrio.server.pages import page
from mcptrio.server.read_cache import PUBLIC, ReadCache
from mcptrio.server.shared_context import SharedContext
from mcptrio.server.subscriptions import checked_uri
from mcptrio.server.wanted import Sources


class Offers:
    """Synchronous lists and asynchronous answers over one catalog. Keeps nothing.

    Raises (all of it):
        RpcError: what the client asked for is not there, or is malformed.
    """

    def __init__(self, catalog: Catalog, page_size: int, sources: Sources, reads: ReadCache) -> None:
        self._catalog = catalog
        self._size = page_size
        self._sources = sources
        self._reads = reads

    def list_tools(self, params: PageParams, revision: Revision) -> ListToolsResult:
        """`tools/list`."""
        tools, after = page(
            self._catalog.tools(revision), "tools", params.cursor, self._size, lambda tool: tool.name
        )
        return ListToolsResult(tools=tools, next_cursor=after)

    def list_templates(self, params: PageParams) -> ListResourceTemplatesResult:
        """`resources/templates/list`."""
        templates, after = page(
            self._catalog.templates(),
            "templates",
            params.cursor,
            self._size,
            lambda template: template.uri_template,
        )
        return ListResourceTemplatesResult(resource_templates=templates, next_cursor=after)

    def list_prompts(self, params: PageParams) -> ListPromptsResult:
        """`prompts/list`."""
        prompts, after = page(
            self._catalog.prompts(), "prompts", params.cursor, self._size, lambda prompt: prompt.name
        )
        return ListPromptsResult(prompts=prompts, next_cursor=after)

    async def list_resources(
        self, params: PageParams, context: RequestContext, revision: Revision
    ) -> ListResourcesResult:
        """`resources/list`: asks the templates what they list, while what they may get it from runs.

        A session that has listed is told when the list changes, so what can change it runs until the session ends.
        """
        if context.session is not None and revision is Revision.LEGACY:
            context.session.want_list(self._sources.want_list)
        async with self._sources.hold_list():
            listed = await self._catalog.list_resources(context)
        resources, after = page(listed, "resources", params.cursor, self._size, lambda resource: resource.uri)
        return ListResourcesResult(resources=resources, next_cursor=after)

    async def read(
        self, params: ResourceParams, context: RequestContext, revision: Revision
    ) -> ReadResourceResult:
        """`resources/read`, while what the resource may come from runs; if that does not work, with how old it may be.

        What is kept of a resource with `cache=` is given at once, and wants nothing to run.
        """
        uri = checked_uri(params.uri)
        caching = self._catalog.caching(uri)
        if caching.cache_seconds is None:
            contents, as_of = await self._read(uri, context)
            ttl_ms = caching.ttl_ms
        else:
            principal = None if caching.public else context.principal

            async def run() -> list[ResourceContents]:
                return (await self._read(uri, SharedContext(principal)))[0]

            scope = PUBLIC if caching.public else principal
            contents, good_for = await self._reads.read(uri, scope, caching, caching.cache_seconds, run)
            as_of = self._sources.as_of(uri)
            ttl_ms = int(1000 * (good_for if caching.ttl is None else min(caching.ttl, good_for)))
        if as_of is not None:
            contents = [_dated(each, as_of) for each in contents]
            # What may be old already must not get older at the client.
            ttl_ms = 0
        return ReadResourceResult(contents=contents, ttl_ms=ttl_ms, cache_scope=caching.scope)

    async def _read(self, uri: str, context: Context) -> tuple[list[ResourceContents], datetime | None]:
        async with self._sources.hold(uri):
            return await self._catalog.read(uri, context), self._sources.as_of(uri)

    async def call(
        self, params: CallToolParams, context: RequestContext, revision: Revision
    ) -> CallToolResult:
        """`tools/call`."""
        arguments = None if params.arguments is UNSET else params.arguments
        return await self._catalog.call_tool(params.name, arguments, context, revision)

    async def get_prompt(
        self, params: GetPromptParams, context: RequestContext, revision: Revision
    ) -> GetPromptResult:
        """`prompts/get`."""
        arguments: dict[str, str] = {}
        for name, value in (params.arguments or {}).items():
            if not isinstance(value, str):
                raise RpcError.of(
                    Failure.INVALID_PARAMS, f"Invalid params: the argument `{name[:200]}` is not a string"
                )
            arguments[name] = value
        return await self._catalog.get_prompt(params.name, arguments, context)

    async def complete(
        self, params: CompleteParams, context: RequestContext, revision: Revision
    ) -> CompleteResult:
        """`completion/complete`."""
        return CompleteResult(completion=await self._catalog.complete(params, context))


def _dated(contents: ResourceContents, at: datetime) -> ResourceContents:
    """The contents with `lastModified`, unless they have one: who made them knows better. A copy: they are the handler's."""
    annotations = Annotations() if contents.annotations is UNSET else contents.annotations
    if annotations.last_modified is not UNSET:
        return contents
    annotations = msgspec.structs.replace(annotations, last_modified=at.isoformat())
    return msgspec.structs.replace(contents, annotations=annotations)
