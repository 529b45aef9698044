"""What may be said beside a function when it is declared. `Tool`, `Resource`, `Template` and `Prompt` have the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from mcptrio.protocol.types import Annotations, Icon, ToolAnnotations


class PromptOptions(TypedDict, total=False):
    """Of a prompt, and of everything else."""

    name: str | None
    title: str | None
    description: str | None
    icons: Sequence[Icon] | None
    meta: Mapping[str, object] | None


class ToolOptions(PromptOptions, total=False):
    """Of a tool; `timeout` is in seconds."""

    annotations: ToolAnnotations | None
    timeout: float | None
    concurrency: int | None
    input_schema: Mapping[str, object] | None
    output_schema: Mapping[str, object] | None


class TemplateOptions(PromptOptions, total=False):
    """Of a template; `ttl` and `cache` are in seconds."""

    mime_type: str | None
    annotations: Annotations | None
    ttl: float | None
    public: bool
    cache: float | None


class ResourceOptions(TemplateOptions, total=False):
    """Of a resource; `size` is in bytes."""

    size: int | None
