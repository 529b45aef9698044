"""What a handler is given to speak to its caller: the catalog's `Context`, for one request on one peer."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec
import trio
from msgspec import UNSET, Raw, UnsetType

from mcptrio.protocol import Codec, RequestId
from mcptrio.protocol.params import ProgressParams
from mcptrio.server.peer import Peer
from mcptrio.server.subscriber import Session


class RequestContext:
    """One request's context. Once the request has ended or was cancelled, nothing more is sent for it."""

    __slots__ = ("_codec", "_last", "_params", "_peer", "_scope", "_token")

    def __init__(
        self,
        peer: Peer,
        codec: Codec,
        scope: trio.CancelScope,
        token: RequestId | UnsetType | None,
        params: Raw | None = None,
    ) -> None:
        self._peer = peer
        self._codec = codec
        self._scope = scope
        self._token = token
        self._params = params
        self._last = float("-inf")

    @property
    def principal(self) -> str | None:
        """Who asks, as far as the wire knows; None for an anonymous peer."""
        return self._peer.principal

    @property
    def session(self) -> Session | None:
        """The session that the caller has opened and not left; None for one that needs none."""
        return self._peer.session

    @property
    def request_meta(self) -> Mapping[str, object]:
        """`params._meta` as the client sent it. Untrusted; decoded anew at each use, since few handlers ask."""
        if self._params is None:
            return {}
        meta = msgspec.json.decode(self._params).get("_meta", {})
        return meta if isinstance(meta, dict) else {}

    async def progress(
        self, progress: float, *, total: float | None = None, message: str | None = None
    ) -> None:
        """Tell the caller how far the work is, if it asked to know; waits while the caller is behind in reading.

        Progress must rise: a report that does not exceed the one before is dropped, as the protocol demands, and so is one
        that is no finite number. A
        checkpoint in any case.
        """
        await self._peer.wait_not_behind()
        if (
            self._token is UNSET
            or self._token is None
            or self._scope.cancel_called
            or not self._last < progress < math.inf
        ):
            return
        self._last = progress
        params = ProgressParams(
            progress_token=self._token,
            progress=progress,
            total=UNSET if total is None or not math.isfinite(total) else total,
            message=UNSET if message is None else message,
        )
        self._peer.push(self._codec.progress(params))

    def end(self) -> None:
        """The request is over: later reports go nowhere."""
        self._token = UNSET
