"""What a handler may ask of the request it serves: the `Context`.

The catalog declares it and the server implements it, so that no handler sees a peer, an id or a revision.

Asking the client differs in the two revisions, and one rule makes handlers right in both: **in 2026-07-28 the handler
is run again for each round of answers, and everything above a question runs again with it.** Do there only what may be
done twice. A question whose answer is not there yet cancels the handler, in Trio's sense: `trio.Cancelled` comes out of
the `await`, through nurseries and past `except Exception`; with the client's next try the handler is called anew, and
this time the question returns. Parameters declared as questions (`Ask`, `Sample`, `Roots`) are asked before the handler
starts, so nothing of it runs twice: prefer them wherever the question is known beforehand.

A plain `def` handler runs in a thread and asks by `trio.from_thread.run(context.elicit, ...)`, under the same rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar, overload

from mcptrio.catalog import questions
from mcptrio.catalog.errors import DeclarationError
from mcptrio.catalog.form import Form, form_of, form_of_schema
from mcptrio.catalog.questions import Elicited, Question, Sample
from mcptrio.protocol.questions import Level, Root, Sampled
from mcptrio.protocol.types import PromptMessage

T = TypeVar("T")


class Context(Protocol):
    """The request being served. A handler gets it by annotating a parameter with `Context`.

    Questions can be asked by tools, reads of resources, and prompts. Each has a `key`, by which answers find back in
    2026-07-28; without one it is the question's place in the order of asking ("question-1"), so give keys where that
    order may differ from run to run. A key is used once in a run.
    """

    __slots__ = ()

    @property
    def principal(self) -> str | None:
        """Who asks, as far as the wire knows; None for an anonymous peer."""

    @property
    def request_meta(self) -> Mapping[str, object]:
        """`params._meta` of the request as the client sent it. Untrusted."""

    @property
    def client_capabilities(self) -> Mapping[str, object]:
        """What the client has declared: `elicitation`, `sampling`, `roots`, each with its details. Untrusted."""

    def require(self, *capabilities: str) -> None:
        """Go on only if the client has declared capabilities: "sampling", or "elicitation.url" with a dot.

        Raises:
            MissingCapability: it lacks one. Do not catch it: in 2026-07-28 the client is told what it lacks (-32021,
                `data.requiredCapabilities`); in 2025-11-25 so is it for a resource or prompt, and a tool's result says it.
        """

    async def progress(
        self, progress: float, *, total: float | None = None, message: str | None = None
    ) -> None:
        """Tell the client how far the request is; `progress` must grow with every call.

        Nothing happens when the client did not ask for progress. If cancelled, nothing was sent and the
        context stays usable.
        """

    async def log(self, level: Level, data: object, *, logger: str | None = None) -> None:
        """Send a log message to the client, if it wants messages of this level; waits while it is behind in reading.

        2025-11-25: at or above the session's level, which is `info` until it sets another. 2026-07-28: at or above
        the level in the request, and none without one. `data` is JSON; no secrets.

        Raises:
            ValueError: there is no such level, or the message is too big.
            TypeError: `data` has no JSON form.
        """

    async def close_stream(self, *, retry: float = 1.0) -> None:
        """End the response stream now; the client comes back for the answer by `Last-Event-ID`, `retry` seconds later.

        Over Streamable HTTP of 2025-11-25; elsewhere nothing happens.
        """

    async def ask(self, question: Question[T], *, key: str | None = None) -> T:
        """Ask one question, as the methods below make it."""
        raise NotImplementedError

    async def ask_all(self, asked: Mapping[str, Question[object]]) -> dict[str, object]:
        """Ask several questions in one round; questions and answers by key.

        Raises (all questions):
            MissingCapability: the client has not declared that it can be asked this.
            QuestionFailed: there is no usable answer, or this kind of request may not ask. In 2026-07-28 an answer that
                does not fit is asked for again instead.
            ValueError: the key was used before in this run.
        """
        raise NotImplementedError

    @overload
    async def elicit(self, message: str, schema: type[T], *, key: str | None = None) -> Elicited[T]: ...

    @overload
    async def elicit(
        self, message: str, schema: Mapping[str, object], *, key: str | None = None
    ) -> Elicited[dict[str, object]]: ...

    async def elicit(self, message: str, schema: object, *, key: str | None = None) -> Elicited[object]:
        """Have the user fill in a form: a Struct or dataclass with flat fields, or a schema. No secrets.

        `(await context.elicit("Who?", Name)).value` is a `Name`; where the user declined it raises `Declined`, which
        fails the call in words.

        Raises:
            DeclarationError: the type or schema cannot be a form.
        """
        form: Form[object]
        if isinstance(schema, Mapping):
            form = form_of_schema(schema)
        elif isinstance(schema, type):
            form = form_of(schema)
        else:
            raise DeclarationError(f"elicit() takes a Struct, a dataclass or a schema, not {schema!r}")
        return await self.ask(questions.elicitation(message, form), key=key)

    async def elicit_url(self, message: str, url: str, *, key: str | None = None) -> Elicited[None]:
        """Have the user open a page: for what must not pass through the client, such as a password or a payment.

        `accept` says that the user is willing, not what came of it. The page must find out itself who it is.
        """
        return await self.ask(questions.visit(message, url), key=key)

    async def sample(
        self,
        messages: str | Sequence[PromptMessage],
        *,
        max_tokens: int = 1000,
        system_prompt: str | None = None,
        temperature: float | None = None,
        stop_sequences: Sequence[str] | None = None,
        model_preferences: Mapping[str, object] | None = None,
        key: str | None = None,
    ) -> Sampled:
        """Have the client's model go on from messages; a string is one message of the user."""
        asked = Sample(messages, max_tokens, system_prompt, temperature, stop_sequences, model_preferences)
        return await self.ask(questions.sampling(asked), key=key)

    async def roots(self, *, key: str | None = None) -> list[Root]:
        """Where the client works."""
        return await self.ask(questions.client_roots(), key=key)
