"""The lists that a catalog has."""

from __future__ import annotations

import enum


class ListKind(enum.StrEnum):
    """Which list changed; the value is its name in `notifications/{kind}/list_changed`."""

    TOOLS = "tools"
    RESOURCES = "resources"
    PROMPTS = "prompts"
