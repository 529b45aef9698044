"""The things that MCP speaks about: implementations, tools, resources, prompts and content blocks.

Field names are Python's here and camelCase on the wire. Fields that are UNSET are left out. Specification:
schema.ts of both revisions.
"""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType, field

Object = dict[str, object]


class Wire(Struct, rename="camel", omit_defaults=True, kw_only=True):
    """Base of all wire types: camelCase, absent instead of null."""


class Icon(Wire, kw_only=True):
    """An icon by https or data URI."""

    src: str
    mime_type: str | UnsetType = UNSET
    sizes: list[str] | UnsetType = UNSET
    theme: Literal["light", "dark"] | UnsetType = UNSET


class Implementation(Wire, kw_only=True):
    """Who a client or server says it is. Never trusted."""

    name: str
    version: str
    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    website_url: str | UnsetType = UNSET
    icons: list[Icon] | UnsetType = UNSET


class ClientInfo(Wire, kw_only=True):
    """What is read of a client's Implementation: the rest must not make a difference."""

    name: str
    version: str


class Annotations(Wire, kw_only=True):
    """Hints for whom content is and how much it matters. `last_modified` is ISO 8601."""

    audience: list[Literal["user", "assistant"]] | UnsetType = UNSET
    priority: float | UnsetType = UNSET
    last_modified: str | UnsetType = UNSET


class Resource(Wire, kw_only=True):
    """A resource as listed. `size` is in bytes."""

    uri: str
    name: str
    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    mime_type: str | UnsetType = UNSET
    size: int | UnsetType = UNSET
    annotations: Annotations | UnsetType = UNSET
    icons: list[Icon] | UnsetType = UNSET
    meta: Object | UnsetType = field(default=UNSET, name="_meta")


class ResourceTemplate(Wire, kw_only=True):
    """A resource template as listed (RFC 6570)."""

    uri_template: str
    name: str
    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    mime_type: str | UnsetType = UNSET
    annotations: Annotations | UnsetType = UNSET
    icons: list[Icon] | UnsetType = UNSET
    meta: Object | UnsetType = field(default=UNSET, name="_meta")


class ResourceContents(Wire, kw_only=True):
    """What a resource holds: exactly one of `text` and `blob` (base64).

    `annotations` are more than the specification names here, and allowed by it.
    """

    uri: str
    mime_type: str | UnsetType = UNSET
    text: str | UnsetType = UNSET
    blob: str | UnsetType = UNSET
    annotations: Annotations | UnsetType = UNSET
    meta: Object | UnsetType = field(default=UNSET, name="_meta")


class TextContent(Wire, tag_field="type", tag="text", kw_only=True):
    """A text block."""

    text: str
    annotations: Annotations | UnsetType = UNSET
    meta: Object | UnsetType = field(default=UNSET, name="_meta")


class ImageContent(Wire, tag_field="type", tag="image", kw_only=True):
    """An image block; `data` is base64."""

    data: str
    mime_type: str
    annotations: Annotations | UnsetType = UNSET
    meta: Object | UnsetType = field(default=UNSET, name="_meta")


class AudioContent(Wire, tag_field="type", tag="audio", kw_only=True):
    """An audio block; `data` is base64."""

    data: str
    mime_type: str
    annotations: Annotations | UnsetType = UNSET
    meta: Object | UnsetType = field(default=UNSET, name="_meta")


class ResourceLink(Resource, tag_field="type", tag="resource_link", kw_only=True):
    """A link to a resource that the client may read."""


class EmbeddedResource(Wire, tag_field="type", tag="resource", kw_only=True):
    """A resource's contents inside another answer."""

    resource: ResourceContents
    annotations: Annotations | UnsetType = UNSET
    meta: Object | UnsetType = field(default=UNSET, name="_meta")


ContentBlock = TextContent | ImageContent | AudioContent | ResourceLink | EmbeddedResource


class ToolAnnotations(Wire, kw_only=True):
    """Untrusted hints about what a tool does."""

    title: str | UnsetType = UNSET
    read_only_hint: bool | UnsetType = UNSET
    destructive_hint: bool | UnsetType = UNSET
    idempotent_hint: bool | UnsetType = UNSET
    open_world_hint: bool | UnsetType = UNSET


class Tool(Wire, kw_only=True):
    """A tool as listed; `input_schema` is an object schema."""

    name: str
    input_schema: Object
    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    output_schema: Object | UnsetType = UNSET
    annotations: ToolAnnotations | UnsetType = UNSET
    icons: list[Icon] | UnsetType = UNSET
    meta: Object | UnsetType = field(default=UNSET, name="_meta")


class PromptArgument(Wire, kw_only=True):
    """An argument of a prompt; its values are strings."""

    name: str
    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    required: bool | UnsetType = UNSET


class Prompt(Wire, kw_only=True):
    """A prompt as listed."""

    name: str
    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    arguments: list[PromptArgument] | UnsetType = UNSET
    icons: list[Icon] | UnsetType = UNSET
    meta: Object | UnsetType = field(default=UNSET, name="_meta")


class PromptMessage(Wire, kw_only=True):
    """One message of a prompt."""

    role: Literal["user", "assistant"]
    content: ContentBlock
