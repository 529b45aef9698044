"""Asking in rounds: how 2026-07-28 does it. The client tries its request again, each time with more answers.

The handler is run anew for each try. A question whose answer is there returns it; the first one whose answer is not
cancels the run, and the request is answered with what is missing. Questions that tasks of one handler ask in the same
moment go in one round.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping

import msgspec
import trio
from msgspec import UNSET, Raw, UnsetType

from mcptrio.catalog.questions import Question, QuestionFailed, UnfitAnswer
from mcptrio.protocol import Failure, RpcError
from mcptrio.protocol.questions import InputRequest, InputRequiredResult
from mcptrio.protocol.results import CacheableResult, Result
from mcptrio.protocol.types import Wire
from mcptrio.server.asking import expect_capabilities
from mcptrio.server.request_state import NO_ANSWERS, RequestStates, binding


class _Retry(Wire, kw_only=True):
    input_responses: Raw | UnsetType = UNSET
    request_state: Raw | UnsetType = UNSET


_retry = msgspec.json.Decoder(_Retry)
_members = msgspec.json.Decoder(dict[str, Raw])


class Rounds:
    """One try of a request, with the answers that it brings."""

    __slots__ = (
        "_asked", "_binding", "_capabilities", "_earlier", "_fit", "_responses", "_scope", "_states",
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        params: Raw | None,
        principal: str | None,
        capabilities: Mapping[str, object],
        states: RequestStates,
    ) -> None:
        """Raises `RpcError` (-32602) when `requestState` is not one that this request was given."""
        retry = _Retry() if params is None else _retry.decode(params)
        self._binding: Callable[[], bytes] = lambda: binding(method, params, principal)
        self._capabilities = capabilities
        self._states = states
        self._responses = {} if retry.input_responses is UNSET else _responses(retry.input_responses)
        self._earlier = NO_ANSWERS
        state = None if retry.request_state is UNSET else _text(retry.request_state)
        if state is not None:
            self._earlier = states.read(state, self._binding())
        self._fit: dict[str, Raw] = {}
        self._asked: dict[str, Question[object]] = {}
        self._scope = trio.CancelScope()

    async def answer(self, answer: Callable[[], Awaitable[Result]]) -> Result:
        result: Result | None = None
        with self._scope:
            try:
                result = await answer()
            except RpcError:
                # What a handler made of being cancelled is not told: it will run again.
                if not self._asked:
                    raise
        if self._asked:
            return self._input_required()
        assert result is not None
        if self._fit and isinstance(result, CacheableResult):
            # It is good for these answers only, which no cache knows of.
            result.ttl_ms, result.cache_scope = 0, "private"
        return result

    async def ask(self, questions: Mapping[str, Question[object]]) -> dict[str, object]:
        answers: dict[str, object] = {}
        missing: dict[str, Question[object]] = {}
        for key, question in questions.items():
            for given in self._given(key):
                try:
                    answers[key] = question.read(given)
                except UnfitAnswer:
                    continue  # asked again
                self._fit[key] = given
                break
            else:
                missing[key] = question
        if missing:
            expect_capabilities(self._capabilities, missing)
            self._asked |= missing
            self._scope.cancel(reason="the client is asked; the handler will run again with its answer")
        await trio.lowlevel.checkpoint()
        if missing:
            raise QuestionFailed(
                "A question must be asked by the request's own tasks, and not behind a shield from cancellation"
            )
        return answers

    def _given(self, key: str) -> Iterator[Raw]:
        if key in self._earlier.given:
            yield self._earlier.given[key]
        if key in self._responses:
            yield self._responses[key]

    def _input_required(self) -> InputRequiredResult:
        # What the last try asked for is kept even if this one did not come to it: tasks may ask in another order.
        kept = {key: self._responses[key] for key in self._earlier.asked if key in self._responses}
        given = {**kept, **self._earlier.given, **self._fit}
        for key in self._asked:
            given.pop(key, None)
        return InputRequiredResult(
            input_requests={
                key: InputRequest(method=question.method, params=question.params)
                for key, question in self._asked.items()
            },
            request_state=self._states.write(given, list(self._asked), self._binding()),
        )


def _responses(raw: Raw) -> dict[str, Raw]:
    """The answers that a try brings. What is no object brings none: what is missing is asked for again."""
    try:
        return _members.decode(raw)
    except msgspec.MsgspecError:
        return {}


def _text(raw: Raw) -> str | None:
    try:
        return msgspec.json.decode(raw, type=str | None)
    except msgspec.MsgspecError:
        raise RpcError.of(Failure.INVALID_PARAMS, "Invalid params: `requestState` is not a string") from None
