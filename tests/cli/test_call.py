"""`mcptrio call`, `read` and `inspect`: a question, its answer on standard output, and how it fails."""

from __future__ import annotations

import json

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from mcptrio.app import App
from mcptrio.cli.call import call, read, text_of
from mcptrio.cli.exits import Exit, UserError
from mcptrio.cli.inspect import Inspection, drawn, inspect
from mcptrio.cli.remote import Remote, rpc_message, server_of
from mcptrio.client import StdioCommand
from mcptrio.protocol import RpcError
from mcptrio.protocol.types import (
    AudioContent,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    Prompt,
    PromptArgument,
    ResourceContents,
    ResourceLink,
    TextContent,
    Tool,
)

from .conftest import INITIALIZED, Kept, in_memory, old_server


async def test_a_tool_is_called_with_arguments_by_its_schema(
    app: App, kept: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    async with in_memory(app) as remote:
        assert await call(remote, "forecast", ["city=5", "days=2"], kept) == Exit.OK
    assert json.loads(kept.text) == [{"city": "5", "celsius": 20.0}, {"city": "5", "celsius": 21.0}]
    assert capsys.readouterr().err == "1/2 asking\n"


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_with_json_the_structured_content_is_written(app: App, kept: Kept, revision: str) -> None:
    async with in_memory(app, revision=revision) as remote:
        await call(remote, "forecast", ["city=oslo"], kept, as_json=True)
    reports = [{"city": "oslo", "celsius": 20.0}]
    assert json.loads(kept.text) in (reports, {"result": reports})


async def test_a_tool_that_reports_an_error_has_its_own_exit_code(
    app: App, kept: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    async with in_memory(app) as remote:
        assert await call(remote, "broken", ["why=rust"], kept) == Exit.TOOL_FAILED
        assert kept.text == "it broke: rust\n"
        assert capsys.readouterr().err == "mcptrio: the tool broken reported an error\n"
        structured = Kept()
        assert await call(remote, "broken", ["why=rust"], structured, as_json=True) == Exit.TOOL_FAILED
        assert json.loads(structured.text)["isError"] is True


@pytest.mark.parametrize(
    ("tool", "words", "code", "told"),
    [
        ("forcast", [], Exit.REFUSED, "the server has no tool 'forcast': did you mean forecast?"),
        ("zzz", [], Exit.REFUSED, "the server has no tool 'zzz': there are broken, forecast, hang"),
        ("forecast", ["days=2"], Exit.USAGE, "missing: city=..."),
        ("forecast", ["city=a", "days=x"], Exit.USAGE, "days must be JSON of type integer"),
        ("hang", [], Exit.UNREACHABLE, "no answer within 5 s: try a longer --timeout"),
    ],
)
async def test_what_keeps_a_tool_from_being_called_is_told(
    app: App, kept: Kept, tool: str, words: list[str], code: Exit, told: str, autojump_clock: MockClock
) -> None:
    async with in_memory(app) as remote:
        with pytest.raises(UserError) as caught:
            await call(remote, tool, words, kept)
    assert told in str(caught.value)
    assert caught.value.code == code


async def test_a_server_without_tools_is_said_to_have_none(kept: Kept) -> None:
    async with in_memory(App("empty")) as remote:
        with pytest.raises(UserError, match="it offers none"):
            await call(remote, "x", [], kept)


async def test_arguments_that_the_tool_does_not_take_are_its_error(app: App, kept: Kept) -> None:
    async with in_memory(app) as remote:
        assert await call(remote, "forecast", ["city=a", "days=9"], kept) == Exit.TOOL_FAILED
    assert "days" in kept.text


LINK = ResourceLink(uri="a://b", name="b")


@pytest.mark.parametrize(
    ("block", "text"),
    [
        (TextContent(text="hello"), "hello"),
        (ImageContent(data="AAAA", mime_type="image/png"), "[image, image/png, 3 bytes: use --json]"),
        (AudioContent(data="AAAA", mime_type="audio/wav"), "[audio, audio/wav, 3 bytes: use --json]"),
        (EmbeddedResource(resource=ResourceContents(uri="a://b", text="inside")), "inside"),
        (
            EmbeddedResource(resource=ResourceContents(uri="a://b", blob="AA==")),
            "[resource a://b: use --json]",
        ),
        (LINK, "[resource a://b: b]"),
    ],
)
def test_a_content_block_is_text_for_people(block: ContentBlock, text: str) -> None:
    assert text_of(block) == text


async def test_a_text_resource_is_written_as_it_is(app: App, kept: Kept) -> None:
    async with in_memory(app) as remote:
        assert await read(remote, "news://one", kept) == Exit.OK
    assert kept.data == b"first"


async def test_on_a_terminal_a_line_feed_is_added(app: App) -> None:
    kept = Kept(tty=True)
    async with in_memory(app) as remote:
        await read(remote, "news://one", kept)
    assert kept.data == b"first\n"


async def test_a_binary_resource_is_written_as_bytes(app: App, kept: Kept) -> None:
    async with in_memory(app) as remote:
        await read(remote, "bytes://all", kept)
    assert kept.data == bytes(range(256))


async def test_with_json_the_whole_result_of_a_read_is_written(app: App, kept: Kept) -> None:
    async with in_memory(app) as remote:
        await read(remote, "news://one", kept, as_json=True)
    [contents] = json.loads(kept.text)["contents"]
    assert contents == {"uri": "news://one", "mimeType": "text/plain", "text": "first"}


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
@pytest.mark.parametrize("uri", ["news://three", "nothing://here"])
async def test_a_resource_that_is_not_there_is_refused(app: App, kept: Kept, uri: str, revision: str) -> None:
    async with in_memory(app, revision=revision) as remote:
        with pytest.raises(UserError, match="the server refused: ") as caught:
            await read(remote, uri, kept)
    assert caught.value.code == Exit.REFUSED


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_inspect_shows_all_that_a_server_offers(app: App, revision: str) -> None:
    kept = Kept()
    async with in_memory(app, revision=revision) as remote:
        assert await inspect(remote, kept) == Exit.OK
    for shown in (
        "weather 1.2.3",
        f"revision {revision}",
        "Ask for the weather.",
        "resources (listChanged, subscribe)",
        "city: string",
        "[days: integer = 1]",
        "Forecast for a city.",
        "news://{id}",
        "bytes://all",
        "topic",
        "[style]",
    ):
        assert shown in kept.text


async def test_inspect_with_json_is_complete(app: App, kept: Kept) -> None:
    async with in_memory(app) as remote:
        await inspect(remote, kept, as_json=True)
    found = json.loads(kept.text)
    assert found["server"]["name"] == "weather"
    assert {tool["name"] for tool in found["tools"]} == {"forecast", "broken", "hang"}
    assert found["resourceTemplates"][0]["uriTemplate"] == "news://{id}"
    assert found["prompts"][0]["name"] == "summary"


async def test_a_server_without_prompts_is_inspected_all_the_same(
    kept: Kept, autojump_clock: MockClock
) -> None:
    offers: dict[str, object] = {"tools/list": {"tools": []}, "resources/list": {"resources": []}}
    async with old_server(offers) as remote:
        assert await inspect(remote, kept) == Exit.OK
    assert "old 1" in kept.text
    assert "tools: none" in kept.text
    assert "prompts: not offered" in kept.text


@pytest.mark.parametrize(
    ("answers", "code", "told"),
    [
        ({"tools/list": -32603}, Exit.REFUSED, "the server refused: No (-32603)"),
        ({"tools/list": {"tools": 3}}, Exit.UNREACHABLE, "does not speak MCP as it should: tools/list"),
        ({"tools/list": "go away"}, Exit.UNREACHABLE, "go away"),
        ({"initialize": -32602}, Exit.REFUSED, "the server refused: No (-32602)"),
        (
            {"initialize": {**INITIALIZED, "protocolVersion": "1999"}},
            Exit.REFUSED,
            "No common protocol version",
        ),
    ],
)
async def test_a_server_that_does_not_answer_as_it_should_is_told(
    kept: Kept, autojump_clock: MockClock, answers: dict[str, object], code: Exit, told: str
) -> None:
    async with old_server(answers) as remote:
        with pytest.raises(UserError) as caught:
            await inspect(remote, kept)
    assert caught.value.code == code
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("contents", "data"),
    [
        ([], b""),
        ([{"uri": "a://b"}], b""),
        ([{"uri": "a://b", "text": "one"}, {"uri": "a://c", "blob": "AAE="}], b"one\n\x00\x01"),
    ],
)
async def test_a_read_writes_all_contents(
    kept: Kept, autojump_clock: MockClock, contents: list[object], data: bytes
) -> None:
    async with old_server({"resources/read": {"contents": contents}}) as remote:
        await read(remote, "a://b", kept)
    assert kept.data == data


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_a_handler_that_failed_is_told_with_where_to_look_for_it(
    app: App, kept: Kept, revision: str, autojump_clock: MockClock
) -> None:
    @app.resource("boom://{id}")
    async def boom(id: str) -> str:
        raise ZeroDivisionError

    told = r"^the server failed: Internal error \(-32603\); the server's log has it under correlation id \w+$"
    async with in_memory(app, revision=revision) as remote:
        with pytest.raises(UserError, match=told) as caught:
            await read(remote, "boom://x", kept)
    assert caught.value.code == Exit.REFUSED


@pytest.mark.parametrize(
    ("message", "data", "told"),
    [
        ("Busy", {"reason": "too_many"}, "the server refused: Busy (-32603); reason: too_many"),
        ("too_many: busy", {"reason": "too_many"}, "the server refused: too_many: busy (-32603)"),
        ("No", {"reason": 3, "correlationId": None}, "the server refused: No (-32603)"),
        ("No", ["reason"], "the server refused: No (-32603)"),
    ],
)
def test_a_refusal_is_told_with_its_reason(message: str, data: object, told: str) -> None:
    assert rpc_message(RpcError(message, code=-32603, data=data)) == told


async def test_a_blob_that_is_no_base64_is_told(kept: Kept, autojump_clock: MockClock) -> None:
    async with old_server({"resources/read": {"contents": [{"uri": "a://b", "blob": "!"}]}}) as remote:
        with pytest.raises(UserError, match="its blob is no base64"):
            await read(remote, "a://b", kept)


def test_a_server_that_says_little_is_shown_all_the_same() -> None:
    found = Inspection(url="x", revision="2025-11-25", server=None, capabilities={})
    shown = drawn(found, color=False, width=80)
    assert "does not say its name" in shown
    assert "capabilities: none" in shown
    assert "tools: not offered" in shown


def test_what_a_server_says_cannot_steer_the_terminal_nor_break_the_tables() -> None:
    tools = [
        Tool(name="[bold]x[/nope]", input_schema={"properties": {"a": {"default": [1]}}}, title="\x1b[2J"),
        Tool(name="y", input_schema={"properties": 3}, description="one\ntwo\n\nthree"),
    ]
    prompts = [Prompt(name="p", arguments=[PromptArgument(name="a")])]
    found = Inspection(
        url="x",
        revision="r",
        server=None,
        capabilities={"odd": 3},
        tools=tools,
        prompts=prompts,
        resources=[],
    )
    shown = drawn(found, color=False, width=80)
    assert "\x1b" not in shown
    assert "[bold]x[/nope]" in shown
    assert "[a = [1]]" in shown
    assert "one two" in shown
    assert "three" not in shown
    assert "resources: none" in shown


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_a_server_that_hangs_up_is_unreachable(revision: str, kept: Kept) -> None:
    async def stream() -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        await theirs.aclose()
        return ours

    remote = Remote(url="localhost:1", connect=stream, revision=revision)
    with pytest.raises(UserError) as caught:
        await read(remote, "a://b", kept)
    assert caught.value.code == Exit.UNREACHABLE
    assert "ws://localhost:1/mcp" in str(caught.value)


async def test_a_server_that_says_nothing_is_unreachable(kept: Kept, autojump_clock: MockClock) -> None:
    async def stream() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return memory_stream_pair()[0]

    with pytest.raises(UserError) as caught:
        await read(Remote(url="localhost:1", connect=stream, timeout=3), "a://b", kept)
    assert caught.value.code == Exit.UNREACHABLE


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 6\r\n\r\n<html>", "HTTP 404: is this the URL"),
        (
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 10\r\n\r\nNot found.",
            "HTTP 404: Not found: is this the URL",
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "ws://localhost:1/mcp"),
    ],
)
async def test_what_is_no_mcp_server_is_told(kept: Kept, answer: bytes, told: str) -> None:
    async def stream() -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        await theirs.send_all(answer)
        await theirs.send_eof()
        kept_open.append(theirs)
        return ours

    kept_open: list[trio.abc.Stream] = []
    with pytest.raises(UserError) as caught:
        await read(Remote(url="localhost:1", connect=stream), "a://b", kept)
    assert caught.value.code == Exit.UNREACHABLE
    assert told in str(caught.value)
    assert "<html>" not in str(caught.value)


async def test_a_port_where_nobody_listens_is_told(kept: Kept) -> None:
    with trio.socket.socket() as unused:
        await unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(UserError, match=r"Connection refused.*is the server running\?") as caught:
            await read(Remote(url=f"ws://127.0.0.1:{port}/mcp?token=hunter2"), "a://b", kept)
        assert "hunter2" not in str(caught.value)
    assert caught.value.code == Exit.UNREACHABLE


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("localhost:8765", "ws://localhost:8765/mcp"),
        ("localhost", "ws://localhost/mcp"),
        ("http://localhost:8765", "http://localhost:8765/mcp"),
        ("https://example.org/other?a=1", "https://example.org/other?a=1"),
        ("ws://[::1]:5", "ws://[::1]:5/mcp"),
        ("WSS://h/x", "wss://h/x"),
        ("stdio:my-server --port 5 'a b'", StdioCommand(("my-server", "--port", "5", "a b"))),
    ],
)
def test_every_way_to_name_a_server_is_taken(given: str, url: object) -> None:
    assert server_of(given) == url


@pytest.mark.parametrize("given", ["stdio:", "stdio:'", "gopher://h", "http://", "http://a:b@h"])
def test_what_names_no_server_is_a_users_mistake(given: str) -> None:
    with pytest.raises(UserError):
        server_of(given)
