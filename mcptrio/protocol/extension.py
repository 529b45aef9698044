"""The extension `io.mcptrio/live`: its names on the wire, and who has declared it. Specification: docs/extension.md."""

from __future__ import annotations

from collections.abc import Mapping

EXTENSION = "io.mcptrio/live"
SUBSCRIPTIONS_KEY = "io.mcptrio/subscriptions"
"""In the filter of a listen, and in `_meta` of `resources/subscribe` and its result."""
CHANGE_KEY = "io.mcptrio/change"
"""In `_meta` of `notifications/resources/updated`."""
GAP = "gap"
"""The kind of an update that says that changes are missing. A source may have the word too: only a gap has a `reason`."""
SUBSCRIPTION_URI = "mcptrio://subscriptions/"
"""Followed by a label: what a subscription without an exact URI goes by."""


def is_declared(capabilities: Mapping[str, object]) -> bool:
    """Whether capabilities, of a client or a server, name the extension; untrusted."""
    return any(
        isinstance(named, dict) and isinstance(named.get(EXTENSION), dict)
        for named in (capabilities.get("extensions"), capabilities.get("experimental"))
    )
