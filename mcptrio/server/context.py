"""What a handler is given to speak to its caller: the catalog's `Context`, for one request on one peer."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import msgspec
import trio
from msgspec import UNSET, Raw, UnsetType

from mcptrio.catalog import Context
from mcptrio.catalog.questions import MissingCapability, Question, QuestionFailed
from mcptrio.protocol import Codec, RequestId
from mcptrio.protocol.params import ProgressParams
from mcptrio.protocol.questions import LEVELS, Level, LogParams, missing_capabilities
from mcptrio.protocol.results import Result
from mcptrio.server.asking import Asking
from mcptrio.server.peer import Peer
from mcptrio.server.reply import Reply
from mcptrio.server.subscriber import Session

T = TypeVar("T")


class RequestContext(Context):
    """One request's context. Once the request has ended or was cancelled, nothing more is sent for it.

    But for questions that are taken back.
    """

    __slots__ = (
        "_asking",
        "_capabilities",
        "_codec",
        "_keys",
        "_largest",
        "_last",
        "_level",
        "_params",
        "_peer",
        "_reply",
        "_scope",
        "_token",
        "_unnamed",
    )

    def __init__(
        self,
        peer: Peer,
        reply: Reply,
        codec: Codec,
        scope: trio.CancelScope,
        token: RequestId | UnsetType | None,
        params: Raw | None = None,
        *,
        capabilities: Mapping[str, object],
        level: Level | None,
        asking: Asking | None,
        largest: int,
    ) -> None:
        """`level` is that of the least log messages which the client wants. `asking` is None for a request that may not
        ask. `largest` bounds the bytes of a log message.
        """
        self._peer = peer
        self._reply = reply
        self._codec = codec
        self._scope = scope
        self._token = token
        self._params = params
        self._capabilities = capabilities
        self._level = level
        self._asking = asking
        self._largest = largest
        self._keys: set[str] = set()
        self._unnamed = 0
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

    @property
    def client_capabilities(self) -> Mapping[str, object]:
        """What the client declared: when it opened its session, or in this request."""
        return self._capabilities

    def require(self, *capabilities: str) -> None:
        """See `Context.require`."""
        required = missing_capabilities(self._capabilities, capabilities)
        if required:
            raise MissingCapability(required)

    async def progress(
        self, progress: float, *, total: float | None = None, message: str | None = None
    ) -> None:
        """Tell the caller how far the work is, if it asked to know; waits while the caller is behind in reading.

        Progress must rise: a report that does not exceed the one before is dropped, as the protocol demands, and so is one
        that is no finite number. A
        checkpoint in any case.
        """
        await self._reply.wait_not_behind()
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
        self._reply.push(self._codec.progress(params))

    async def log(self, level: Level, data: object, *, logger: str | None = None) -> None:
        """See `Context.log`. A checkpoint in any case."""
        if level not in LEVELS:
            raise ValueError(f"{level!r} is no level of a log message; use one of {', '.join(LEVELS)}")
        await self._reply.wait_not_behind()
        if (
            self._level is None
            or self._scope.cancel_called
            or LEVELS.index(level) < LEVELS.index(self._level)
        ):
            return
        payload = self._codec.log(
            LogParams(level=level, data=data, logger=UNSET if logger is None else logger)
        )
        if len(payload) > self._largest:
            raise ValueError(
                f"the log message has {len(payload)} bytes, and at most {self._largest} can be sent; log less"
            )
        self._reply.push(payload)

    async def close_stream(self, *, retry: float = 1.0) -> None:
        """See `Context.close_stream`. A checkpoint in any case."""
        await self._reply.wait_not_behind()
        self._reply.close_stream(retry)

    async def ask(self, question: Question[T], *, key: str | None = None) -> T:
        """See `Context.ask`. A checkpoint in any case."""
        if key is None:
            self._unnamed += 1
            key = f"question-{self._unnamed}"
        answers: Mapping[str, object] = await self.ask_all({key: question})
        answer: T = answers[key]  # type: ignore[assignment]
        return answer

    async def ask_all(self, asked: Mapping[str, Question[object]]) -> dict[str, object]:
        """See `Context.ask_all`. A checkpoint in any case."""
        if self._asking is None:
            raise QuestionFailed(
                "Only tools, reads of resources and prompts may ask, and only while they run"
            )
        again = self._keys & asked.keys()
        if again:
            raise ValueError(
                f"the key {min(again)!r} of a question was used before in this run; give it another"
            )
        self._keys |= asked.keys()
        return await self._asking.ask(asked)

    async def answer(self, answer: Callable[[], Awaitable[Result]]) -> Result:
        """Run what answers the request; what the client is told, which may be that it is asked something first."""
        return await (answer() if self._asking is None else self._asking.answer(answer))

    def end(self) -> None:
        """The request is over: later reports go nowhere, and nothing can be asked."""
        self._token = UNSET
        self._level = None
        self._asking = None
