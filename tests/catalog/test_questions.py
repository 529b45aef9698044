"""Questions: declared parameters, and answers that fit or do not."""

from __future__ import annotations

from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from mcptrio.catalog import (
    Ask,
    Catalog,
    DeclarationError,
    Declined,
    Elicited,
    MissingCapability,
    Root,
    Roots,
    Sample,
    Sampled,
)
from mcptrio.catalog.form import form_of
from mcptrio.catalog.questions import UnfitAnswer, client_roots, elicitation, sampling, visit
from mcptrio.catalog.signature import read_signature
from mcptrio.protocol import Revision
from mcptrio.protocol.questions import missing_capabilities
from mcptrio.protocol.types import PromptMessage, TextContent


class Name(Struct):
    name: str


FORM = elicitation("Who?", form_of(Name))
ALL = [FORM, visit("Go", "https://a.example"), sampling(Sample("Hi")), client_roots()]


def encoded(answer: object) -> bytes:
    return msgspec.json.encode(answer)


def test_answers_are_read_as_what_was_asked_for() -> None:
    assert FORM.read(encoded({"action": "accept", "content": {"name": "Ann"}})).value == Name("Ann")
    assert FORM.read(encoded({"action": "cancel", "content": {"name": 5}})) == Elicited("cancel")
    assert ALL[1].read(encoded({"action": "accept", "content": {"any": "thing"}})) == Elicited("accept")
    heard = ALL[2].read(
        encoded(
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "a"},
                    {"type": "image", "data": "", "mimeType": "image/png"},
                    {"type": "text", "text": "b"},
                ],
                "model": "m",
            }
        )
    )
    assert isinstance(heard, Sampled)
    assert (heard.text, heard.stop_reason) == ("ab", None)
    assert ALL[3].read(b'{"roots":[{"uri":"file:///a"}]}') == [Root(uri="file:///a")]


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["action", "content", "name", "role", "model", "roots", "uri", "type", "text"]),
            inner | st.sampled_from(["accept", "decline", "assistant", "text"]),
            max_size=5,
        )
    ),
    max_leaves=8,
)


@given(st.sampled_from(ALL), json.map(encoded) | st.binary(max_size=20))
def test_any_answer_is_read_or_unfit(question: object, answer: bytes) -> None:
    assert question in ALL
    for each in ALL:
        try:
            each.read(answer)
        except UnfitAnswer:
            pass


def test_messages_of_a_sampling_may_be_many() -> None:
    messages = [PromptMessage(role="assistant", content=TextContent(text="before"))]
    params = sampling(Sample(messages, 5, stop_sequences=("x",), model_preferences={"hints": []})).params
    assert params == {
        "messages": messages,
        "maxTokens": 5,
        "stopSequences": ["x"],
        "modelPreferences": {"hints": []},
    }


@pytest.mark.parametrize("action", ["decline", "cancel"])
def test_what_was_not_answered_has_no_value(action: str) -> None:
    answer = FORM.read(encoded({"action": action}))
    assert not answer.accepted
    with pytest.raises(Declined):
        _ = answer.value


async def two(a: Annotated[Name, Ask("A?"), Ask("B?")]) -> None: ...


async def no_form(a: Annotated[str, Ask("A?")]) -> None: ...


async def no_sample(a: Annotated[str, Sample("A?")]) -> None: ...


async def no_roots(a: Annotated[list[str], Roots()]) -> None: ...


async def with_default(a: Annotated[Name, Ask("A?")] = Name("Ann")) -> None: ...  # noqa: B008


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (two, "is declared as two questions"),
        (no_form, "str cannot be asked for: make it a Struct or dataclass"),
        (no_sample, "which gives Sampled; write Annotated[Sampled, ...]"),
        (no_roots, "which gives list[Root]; write Annotated[list[Root], ...]"),
        (with_default, "is asked for, so it has no default"),
    ],
)
def test_a_question_that_does_not_go_with_its_parameter_is_refused(function: object, words: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        Catalog().add_tool(function)  # type: ignore[arg-type]
    assert "parameter `a`" in str(caught.value)
    assert words in str(caught.value)


def test_declared_questions_are_no_arguments() -> None:
    async def ask(
        user: Annotated[Name, Ask("Who?")], other: Annotated[Elicited[Name], Ask("Who else?")], word: str
    ) -> None: ...

    signature = read_signature(ask)
    assert [argument.name for argument in signature.arguments] == ["word"]
    assert [(each.name, each.whole) for each in signature.asked] == [("user", False), ("other", True)]
    (listed,) = _listed(ask)
    assert listed == ["word"]


def _listed(function: object) -> list[list[str]]:
    catalog = Catalog()
    catalog.add_tool(function)  # type: ignore[arg-type]
    return [list(tool.input_schema["properties"]) for tool in catalog.tools(Revision.MODERN)]  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("declared", "needed", "missing"),
    [
        ({}, ["sampling"], {"sampling": {}}),
        ({"sampling": {}}, ["sampling"], {}),
        ({"sampling": None}, ["sampling"], {"sampling": {}}),
        ({"sampling": True}, ["sampling"], {"sampling": {}}),
        ({"elicitation": {}}, ["elicitation.form", "elicitation"], {}),
        ({"elicitation": {"form": {}}}, ["elicitation.form"], {}),
        ({"elicitation": {"url": {}}}, ["elicitation.form"], {"elicitation": {"form": {}}}),
        ({"elicitation": {}}, ["elicitation.url"], {"elicitation": {"url": {}}}),
        ({"elicitation": []}, ["elicitation.form"], {"elicitation": {"form": {}}}),
        (
            {},
            ["elicitation.form", "elicitation.url", "roots"],
            {"elicitation": {"form": {}, "url": {}}, "roots": {}},
        ),
        ({}, [], {}),
    ],
)
def test_what_a_client_lacks(declared: dict[str, object], needed: list[str], missing: object) -> None:
    assert missing_capabilities(declared, needed) == missing


def test_what_a_client_lacks_in_words() -> None:
    error = MissingCapability({"elicitation": {"form": {}, "url": {}}, "roots": {}})
    assert str(error).endswith("not declared `elicitation.form` and `elicitation.url` and `roots`")
