"""Asking the client in the middle of its request. `Interview` is how 2025-11-25 does it: by requests of the server's."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import trio

from mcptrio.catalog.questions import MissingCapability, Question, QuestionFailed, UnfitAnswer
from mcptrio.protocol import ErrorResponse, encode_notification, encode_request
from mcptrio.protocol.questions import missing_capabilities
from mcptrio.protocol.results import Result
from mcptrio.protocol.types import Object
from mcptrio.server.outstanding import Outstanding, Waiting
from mcptrio.server.reply import Reply
from mcptrio.server.settings import ServerSettings

_LONGEST = 500

HEADROOM = 512
"""Bytes that may go beside a message: its frame, or the head of its response."""


class Asking(Protocol):
    """How one request asks its client."""

    async def answer(self, answer: Callable[[], Awaitable[Result]]) -> Result:
        """Run what answers the request, and may ask meanwhile; what the client is told in the end."""

    async def ask(self, questions: Mapping[str, Question[object]]) -> dict[str, object]:
        """The answers by key; see `Context.ask_all`."""


class Interview:
    """Asks by requests to the client, all questions at once, and waits for their answers (2025-11-25).

    A question that is not waited for any more, because it took too long or its request was cancelled, is taken back
    with `notifications/cancelled`. An error or a malformed answer fails the question.
    """

    __slots__ = ("_capabilities", "_outstanding", "_reply", "_settings")

    def __init__(
        self,
        outstanding: Outstanding,
        reply: Reply,
        capabilities: Mapping[str, object],
        settings: ServerSettings,
    ) -> None:
        self._outstanding = outstanding
        self._reply = reply
        self._capabilities = capabilities
        self._settings = settings

    async def answer(self, answer: Callable[[], Awaitable[Result]]) -> Result:
        return await answer()

    async def ask(self, questions: Mapping[str, Question[object]]) -> dict[str, object]:
        expect_capabilities(self._capabilities, questions)
        limit = self._settings.max_questions
        opened: dict[str, Waiting] = {}
        try:
            with trio.move_on_after(self._settings.question_timeout):
                await self._reply.wait_not_behind()
                if len(self._outstanding) + len(questions) > limit:
                    raise QuestionFailed(
                        f"The client has too many questions to answer: at most {limit} at once on one connection"
                    )
                for key, question in questions.items():
                    opened[key] = self._send(question)
                return {key: await _answer(question, opened[key]) for key, question in questions.items()}
            raise QuestionFailed(f"The client did not answer within {self._settings.question_timeout:g} s")
        finally:
            for waiting in opened.values():
                if self._outstanding.forget(waiting):
                    self._reply.push(
                        encode_notification("notifications/cancelled", {"requestId": waiting.id})
                    )

    def _send(self, question: Question[object]) -> Waiting:
        params = question.params
        if params.get("mode") == "url":
            params = {**params, "elicitationId": secrets.token_hex(16)}
        waiting = self._outstanding.open()
        try:
            payload = encode_request(waiting.id, question.method, params)
            limit = self._settings.limits.max_pending - HEADROOM
            if len(payload) > limit:
                raise QuestionFailed(f"The question has {len(payload)} bytes, at most {limit} can be sent")
        except Exception:
            self._outstanding.forget(waiting)
            raise
        self._reply.push(payload)
        return waiting


def expect_capabilities(declared: Mapping[str, object], questions: Mapping[str, Question[object]]) -> None:
    """Raises `MissingCapability` when a client cannot be asked one of these."""
    required: Object = missing_capabilities(declared, (question.needs for question in questions.values()))
    if required:
        raise MissingCapability(required)


async def _answer(question: Question[object], waiting: Waiting) -> object:
    message = await waiting.wait()
    if isinstance(message, ErrorResponse):
        error = message.error
        raise QuestionFailed(
            f"The client refused {question.method}: {error.message[:_LONGEST]} ({error.code})"
        )
    try:
        return question.read(message.result)
    except UnfitAnswer as unfit:
        raise QuestionFailed(f"The client's answer to {question.method} is malformed: {unfit}") from None
