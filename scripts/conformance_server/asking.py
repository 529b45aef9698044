"""Tools that ask the user, the client's model or the client.

A parameter declared as a question is asked before the function is called, so no code of it runs twice; that is how to
ask wherever the question is known beforehand. `context.elicit` asks in the middle.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Struct

from conformance_server.application import app
from mcptrio import Ask, Context, Elicited, Root, Roots, Sample, Sampled
from mcptrio.protocol.types import TextContent


class Name(Struct):
    name: str


class Colour(Struct):
    color: str


class Confirmation(Struct):
    ok: bool


class Profile(Struct):
    username: str
    email: str


@app.tool
async def test_sampling(prompt: str, context: Context) -> str:
    """Have the client's model answer a prompt."""
    sampled = await context.sample(prompt, max_tokens=100)
    return f"LLM response: {text_of(sampled)}"


@app.tool
async def test_elicitation(message: str, context: Context) -> str:
    """Ask the user for a name and an address."""
    return told(await context.elicit(message, Profile))


class Defaults(Struct):
    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: Literal["active", "inactive", "pending"] = "active"
    verified: bool = True


@app.tool
async def test_elicitation_sep1034_defaults(context: Context) -> str:
    """Ask with an answer already filled in."""
    return told(await context.elicit("Please review and update the form fields with defaults", Defaults))


CHOICES: dict[str, object] = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {
            "type": "string",
            "oneOf": [
                {"const": "value1", "title": "First Option"},
                {"const": "value2", "title": "Second Option"},
                {"const": "value3", "title": "Third Option"},
            ],
        },
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {
            "type": "array",
            "items": {"type": "string", "enum": ["option1", "option2", "option3"]},
        },
        "titledMulti": {
            "type": "array",
            "items": {
                "anyOf": [
                    {"const": "value1", "title": "First Choice"},
                    {"const": "value2", "title": "Second Choice"},
                    {"const": "value3", "title": "Third Choice"},
                ]
            },
        },
    },
    "required": [],
}


@app.tool
async def test_elicitation_sep1330_enums(context: Context) -> str:
    """Ask for choices, in each way a schema can say it."""
    return told(await context.elicit("Please select options from the enum fields", CHOICES))


@app.tool
async def test_input_required_result_elicitation(
    user_name: Annotated[Name, Ask("What is your name?")],
) -> str:
    """Greet the user."""
    return f"Hello, {user_name.name}!"


@app.tool
async def test_input_required_result_sampling(
    capital_question: Annotated[Sampled, Sample("What is the capital of France?", max_tokens=100)],
) -> str:
    """Pass on what the client's model knows."""
    return text_of(capital_question)


@app.tool
async def test_input_required_result_list_roots(client_roots: Annotated[list[Root], Roots()]) -> str:
    """Tell where the client works."""
    return f"Roots: {', '.join(root.uri for root in client_roots)}"


@app.tool
async def test_input_required_result_request_state(
    confirm: Annotated[Confirmation, Ask("Please confirm")],
) -> str:
    """Ask, and know the request again when the answer comes."""
    return f"state-ok: {confirm.ok}"


@app.tool
async def test_input_required_result_multiple_inputs(
    user_name: Annotated[Name, Ask("What is your name?")],
    greeting: Annotated[Sampled, Sample("Generate a greeting", max_tokens=50)],
    client_roots: Annotated[list[Root], Roots()],
) -> str:
    """Ask three things at once."""
    return f"{text_of(greeting)} {user_name.name}, {len(client_roots)} roots"


@app.tool
async def test_input_required_result_multi_round(context: Context) -> str:
    """Ask one thing after the other. In 2026-07-28 everything above a question runs again with each answer."""
    name = await context.elicit("Step 1: What is your name?", Name, key="step1")
    colour = await context.elicit("Step 2: What is your favorite color?", Colour, key="step2")
    return f"{told(name)}; {told(colour)}"


@app.tool
async def test_input_required_result_tampered_state(
    confirm: Annotated[Confirmation, Ask("Please confirm")],
) -> str:
    """Ask, and refuse an answer to what was not asked."""
    return f"confirmed: {confirm.ok}"


@app.tool
async def test_input_required_result_capabilities(context: Context) -> str:
    """Ask what this client can answer."""
    if "elicitation" in context.client_capabilities:
        return told(await context.elicit("What is your name?", Name, key="user_name"))
    return text_of(await context.sample("Make up a name", max_tokens=50, key="made_up_name"))


@app.tool
async def test_missing_capability(
    answer: Annotated[Sampled, Sample("What is the capital of France?", max_tokens=100)],
) -> str:
    """Need a capability; a client without it is told which."""
    return text_of(answer)


@app.tool
async def test_streaming_elicitation(context: Context) -> str:
    """Ask while the answer is a stream."""
    await context.progress(1, total=2)
    return told(await context.elicit("What is your name?", Name, key="user_name"))


def text_of(sampled: Sampled) -> str:
    """What a model said, as far as it is text."""
    return sampled.content.text if isinstance(sampled.content, TextContent) else "no text"


def told(answer: Elicited[object]) -> str:
    """A user's answer in words."""
    return f"{answer.action}: {answer.value}"
