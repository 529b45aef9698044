"""Questions to the client in the middle of a request: to its user (elicitation), its model (sampling), itself (roots).

A handler asks through its `Context`, or has a parameter declared as a question:

    @app.tool
    async def book(name: Annotated[Name, Ask("Who travels?")], roots: Annotated[list[Root], Roots()]) -> str: ...

Declared questions are asked before the handler starts, all of them at once, and the parameter's name is the key. A
declined one fails the call in words, unless the parameter is an `Elicited[Name]`.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar, cast

import msgspec
from msgspec import Raw

from mcptrio.catalog.errors import DeclarationError, ToolError
from mcptrio.catalog.form import Form, form_of
from mcptrio.protocol.questions import ELICIT, ROOTS, SAMPLE, ElicitResult, Root, RootsResult, Sampled
from mcptrio.protocol.types import Object, PromptMessage, TextContent

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_LONGEST = 500


class QuestionFailed(ToolError):
    """A question got no answer that can be used: the client refused it, answered something else, or not in time.

    The text is for the model, as with every `ToolError`; a resource or prompt is answered -32603 with it.
    """


class Declined(QuestionFailed):
    """The user declined, or closed the question without an answer."""


class MissingCapability(QuestionFailed):
    """The client has not declared that it can be asked this; `required` is the capability object that it lacks."""

    def __init__(self, required: Object) -> None:
        super().__init__(f"The client cannot be asked: it has not declared {_dotted(required)}")
        self.required = required


class UnfitAnswer(ValueError):
    """An answer that is not what was asked for."""


@dataclass(frozen=True, slots=True)
class Elicited(Generic[T_co]):
    """What a user did with a question."""

    action: Literal["accept", "decline", "cancel"]
    content: T_co | None = None
    """What the user has filled in; None unless accepted, and for a URL."""

    @property
    def accepted(self) -> bool:
        """The user has answered."""
        return self.action == "accept"

    @property
    def value(self) -> T_co:
        """What the user has filled in.

        Raises:
            Declined: there is nothing, because the user did not want to.
        """
        if not self.accepted:
            raise Declined(
                "The user declined to answer" if self.action == "decline" else "The user gave no answer"
            )
        return cast("T_co", self.content)


@dataclass(frozen=True, slots=True)
class Question(Generic[T_co]):
    """What is asked, in neither revision's form. Made by the functions below."""

    method: str
    params: Object
    needs: str
    """The capability that a client must have declared, with dots."""
    reader: Callable[[bytes], T_co]

    def read(self, answer: Raw | bytes) -> T_co:
        """The answer as what was asked for.

        Raises:
            UnfitAnswer: it is something else.
        """
        try:
            return self.reader(bytes(answer))
        except (msgspec.MsgspecError, RecursionError, UnicodeError, OverflowError) as error:
            raise UnfitAnswer(str(error)[:_LONGEST]) from None


@dataclass(frozen=True, slots=True)
class Ask:
    """Declares a parameter as a form for the user: `Annotated[Name, Ask("What is your name?")]`."""

    message: str


@dataclass(frozen=True, slots=True)
class Sample:
    """Declares a parameter as what the client's model says: `Annotated[Sampled, Sample("Greet me.")]`.

    See `Context.sample` for the fields.
    """

    messages: str | Sequence[PromptMessage]
    max_tokens: int = 1000
    system_prompt: str | None = None
    temperature: float | None = None
    stop_sequences: Sequence[str] | None = None
    model_preferences: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Roots:
    """Declares a parameter as the client's roots: `Annotated[list[Root], Roots()]`."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A parameter declared as a question."""

    name: str
    question: Question[object]
    whole: bool
    """It takes the `Elicited`, and decides itself what a declined question means."""

    def value(self, answer: object) -> object:
        """What the handler gets.

        Raises:
            Declined: the user did not want to answer, and the handler has not asked to be told.
        """
        return answer.value if isinstance(answer, Elicited) and not self.whole else answer


def elicitation(message: str, form: Form[T]) -> Question[Elicited[T]]:
    """A form for the user. Never ask for secrets in one."""

    def read(answer: bytes) -> Elicited[T]:
        result = msgspec.json.decode(answer, type=ElicitResult)
        if result.action != "accept":
            return Elicited(result.action)
        return Elicited("accept", form.read(result.content or {}))

    params: Object = {"message": message, "requestedSchema": form.schema}
    return Question(ELICIT, params, "elicitation.form", read)


def visit(message: str, url: str) -> Question[Elicited[None]]:
    """A page for the user to open. `accept` says that the user is willing, not what came of it."""

    def read(answer: bytes) -> Elicited[None]:
        return Elicited(msgspec.json.decode(answer, type=ElicitResult).action)

    return Question(ELICIT, {"mode": "url", "message": message, "url": url}, "elicitation.url", read)


def sampling(sample: Sample) -> Question[Sampled]:
    """Something for the client's model."""
    messages = sample.messages
    if isinstance(messages, str):
        messages = [PromptMessage(role="user", content=TextContent(text=messages))]
    optional = {
        "systemPrompt": sample.system_prompt,
        "temperature": sample.temperature,
        "stopSequences": None if sample.stop_sequences is None else list(sample.stop_sequences),
        "modelPreferences": sample.model_preferences,
    }
    params: Object = {"messages": list(messages), "maxTokens": sample.max_tokens}
    params |= {name: value for name, value in optional.items() if value is not None}
    return Question(SAMPLE, params, "sampling", msgspec.json.Decoder(Sampled).decode)


def client_roots() -> Question[list[Root]]:
    """Where the client works."""
    return Question(ROOTS, {}, "roots", lambda answer: msgspec.json.decode(answer, type=RootsResult).roots)


def declared(where: str, name: str, annotation: object) -> Declared | None:
    """The question that a parameter is declared as; None for one that is none.

    Raises:
        DeclarationError: the question does not go with the parameter's type.
    """
    if typing.get_origin(annotation) is not typing.Annotated:
        return None
    type_, *metadata = typing.get_args(annotation)
    marks = [mark for mark in metadata if isinstance(mark, Ask | Sample | Roots)]
    if not marks:
        return None
    if len(marks) > 1:
        raise DeclarationError(f"{where}: parameter `{name}` is declared as two questions; keep one")
    mark = marks[0]
    if isinstance(mark, Ask):
        whole = typing.get_origin(type_) is Elicited
        try:
            shown = form_of(typing.get_args(type_)[0] if whole else type_)
        except DeclarationError as error:
            raise DeclarationError(f"{where}: parameter `{name}`: {error}") from None
        return Declared(name, elicitation(mark.message, shown), whole)
    wanted: object = Sampled if isinstance(mark, Sample) else list[Root]
    if type_ != wanted:
        gives = "Sampled" if isinstance(mark, Sample) else "list[Root]"
        raise DeclarationError(
            f"{where}: parameter `{name}` is declared with {type(mark).__name__}(...), which gives {gives}; "
            f"write Annotated[{gives}, ...]"
        )
    return Declared(name, sampling(mark) if isinstance(mark, Sample) else client_roots(), whole=False)


def _dotted(required: Object) -> str:
    return " and ".join(f"`{path}`" for path in _paths(required))


def _paths(required: Mapping[str, object]) -> list[str]:
    paths: list[str] = []
    for name, inner in required.items():
        below = _paths(inner) if isinstance(inner, Mapping) else []
        paths += [f"{name}.{path}" for path in below] or [name]
    return paths
