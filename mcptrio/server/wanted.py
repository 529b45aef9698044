"""What the server uses of sources: telling what clients want, and hearing how old what it has is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from mcptrio.live import Feed
from mcptrio.supervision import ChildSpec


class Sources(Protocol):
    """What changes, behind the hub; some of it runs only while somebody wants it.

    Subscriptions are told by the hub. What is wanted in other ways is told here.
    """

    @property
    def feeds(self) -> Mapping[str, Feed]:
        """By source, how each is doing."""

    def child_spec(self) -> ChildSpec:
        """All of them, as one child of the root."""

    def hold(self, uri: str) -> AbstractAsyncContextManager[None]:
        """Want what reports this URI, for a read of it; the block begins when that knows what to say, or soon after."""

    def hold_list(self) -> AbstractAsyncContextManager[None]:
        """Want what can change the list of resources, for a list of them; the block begins as the one of `hold`."""

    def want_list(self) -> Callable[[], None]:
        """Want what can change the list of resources until the returned function is called, which is idempotent."""

    def as_of(self, uri: str) -> datetime | None:
        """When what reports this URI last worked (UTC); None if it works now, if it never did, and if there is nothing."""
