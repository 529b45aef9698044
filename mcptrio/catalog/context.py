"""What a handler may ask of the request it serves: the `Context` protocol.

The catalog declares it and the server implements it once per revision, so that no handler sees a peer, an id
or a revision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Context(Protocol):
    """The request being served. A handler gets it by annotating a parameter with `Context`."""

    @property
    def principal(self) -> str | None:
        """Who asks, as far as the wire knows; None for an anonymous peer."""

    @property
    def request_meta(self) -> Mapping[str, object]:
        """`params._meta` of the request as the client sent it. Untrusted."""

    async def progress(
        self, progress: float, *, total: float | None = None, message: str | None = None
    ) -> None:
        """Tell the client how far the request is; `progress` must grow with every call.

        Nothing happens when the client did not ask for progress. If cancelled, nothing was sent and the
        context stays usable.
        """
