"""The two revisions of MCP that are served."""

from __future__ import annotations

import enum


class Revision(enum.Enum):
    """A protocol revision; the value is its date on the wire."""

    LEGACY = "2025-11-25"
    MODERN = "2026-07-28"


SUPPORTED = (Revision.MODERN.value, Revision.LEGACY.value)
"""Every version served, newest first: `supportedVersions` of discover and `data.supported` of -32022."""
