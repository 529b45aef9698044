"""What requests are answered with. One set of results for both revisions: a `Codec` adds what a revision
wants beside them.
"""

from __future__ import annotations

from msgspec import UNSET, UnsetType, field

from mcptrio.protocol.types import (
    ContentBlock,
    Implementation,
    Object,
    Prompt,
    PromptMessage,
    Resource,
    ResourceContents,
    ResourceTemplate,
    Tool,
    Wire,
)


class Result(Wire, kw_only=True):
    """Base of all results; alone it is the empty result. `result_type` is the modern revision's."""

    result_type: str | UnsetType = UNSET
    meta: Object | UnsetType = field(default=UNSET, name="_meta")


class CacheableResult(Result, kw_only=True):
    """A result that the modern revision wants cache hints on; `ttl_ms` in milliseconds."""

    ttl_ms: int | UnsetType = UNSET
    cache_scope: str | UnsetType = UNSET


class InitializeResult(Result, kw_only=True):
    """Answer to `initialize` (2025-11-25)."""

    protocol_version: str
    capabilities: Object
    server_info: Implementation
    instructions: str | UnsetType = UNSET


class DiscoverResult(CacheableResult, kw_only=True):
    """Answer to `server/discover` (2026-07-28)."""

    supported_versions: list[str]
    capabilities: Object
    instructions: str | UnsetType = UNSET


class ListToolsResult(CacheableResult, kw_only=True):
    """A page of tools."""

    tools: list[Tool]
    next_cursor: str | UnsetType = UNSET


class ListResourcesResult(CacheableResult, kw_only=True):
    """A page of resources."""

    resources: list[Resource]
    next_cursor: str | UnsetType = UNSET


class ListResourceTemplatesResult(CacheableResult, kw_only=True):
    """A page of resource templates."""

    resource_templates: list[ResourceTemplate]
    next_cursor: str | UnsetType = UNSET


class ListPromptsResult(CacheableResult, kw_only=True):
    """A page of prompts."""

    prompts: list[Prompt]
    next_cursor: str | UnsetType = UNSET


class ReadResourceResult(CacheableResult, kw_only=True):
    """What a resource holds: one or more contents."""

    contents: list[ResourceContents]


class CallToolResult(Result, kw_only=True):
    """What a tool returned; with `is_error` a failure that the model can read."""

    content: list[ContentBlock]
    structured_content: object = UNSET
    is_error: bool | UnsetType = UNSET


class Completion(Wire, kw_only=True):
    """At most 100 values, best first; `total` counts those that were left out too."""

    values: list[str]
    total: int | UnsetType = UNSET
    has_more: bool | UnsetType = UNSET


class CompleteResult(Result, kw_only=True):
    """Answer to `completion/complete`."""

    completion: Completion


class GetPromptResult(Result, kw_only=True):
    """A prompt, filled in."""

    messages: list[PromptMessage]
    description: str | UnsetType = UNSET
