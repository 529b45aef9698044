"""How a command's first words to a server can fail, and what a person is told to do about it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from mcptrio.app import App
from mcptrio.catalog import Context
from mcptrio.cli.call import call, read
from mcptrio.cli.exits import Exit, UserError
from mcptrio.cli.remote import Losses, Remote, server_of, unreachable
from mcptrio.client import ConnectionLost

from .conftest import Kept, Report, in_memory, old_server

REVISIONS = pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])


async def test_the_announced_url_of_a_unix_socket_can_be_dialled(
    app: App, kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with trio.open_nursery() as nursery:
        address = await nursery.start(partial(app.serve, unix_socket=Path("mcp.sock")))
        assert server_of(address.websocket) == address.websocket
        assert await read(Remote(url=address.endpoint), "news://one", kept) == Exit.OK
        nursery.cancel_scope.cancel(reason="the test is over")
    assert kept.data == b"first"
    with pytest.raises(UserError, match=r"cannot connect to unix:.*No such file.*is the server running\?"):
        await read(Remote(url=address.endpoint), "news://one", kept)


def answering(answer: bytes, url: str) -> Remote:
    """Somebody who says this, whatever he is asked, and hangs up."""

    async def stream() -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        await theirs.send_all(answer)
        await theirs.send_eof()
        kept_open.append(theirs)
        return ours

    kept_open: list[trio.abc.Stream] = []
    return Remote(url=url, connect=stream)


@pytest.mark.parametrize("scheme", ["http", "ws"])
@pytest.mark.parametrize("answer", [b"", b"\x15\x03\x01\x00\x02\x02\x46"])
async def test_a_port_for_tls_is_thought_of_where_plain_words_get_no_answer(
    kept: Kept, scheme: str, answer: bytes
) -> None:
    told = rf"is this the URL of an MCP server\? If it is one with TLS, the URL begins with {scheme}s:$"
    with pytest.raises(UserError, match=told) as caught:
        await read(answering(answer, f"{scheme}://localhost:1"), "a://b", kept)
    assert caught.value.code == Exit.UNREACHABLE


@pytest.mark.parametrize("scheme", ["http", "ws"])
@pytest.mark.parametrize("status", [401, 403])
async def test_who_is_not_let_in_is_refused_and_told_where_tokens_are_named(
    kept: Kept, scheme: str, status: int
) -> None:
    answer = b"HTTP/1.1 %d No\r\nContent-Length: 2\r\n\r\nNo" % status
    with pytest.raises(
        UserError, match=f"HTTP {status}.*MCPTRIO_TOKEN, .*--token-env or --token-file"
    ) as caught:
        await read(answering(answer, f"{scheme}://localhost:1"), "a://b", kept)
    assert caught.value.code == Exit.REFUSED


def test_a_connection_that_had_begun_is_not_doubted() -> None:
    lost = ConnectionLost("http://h/mcp: the answer broke off")
    assert str(unreachable("http://h/mcp", lost, began=True)) == str(lost)


def test_a_new_refusal_after_a_loss_is_told_with_its_fix(capsys: pytest.CaptureFixture[str]) -> None:
    losses = Losses()
    losses.say(ConnectionLost("http://h/mcp: HTTP 401: a token is missing or wrong", status=401), 1.0)
    assert "wrong: set MCPTRIO_TOKEN, or name it by --token-env or --token-file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (
            "echo here is no server",
            r"^stdio:echo: it wrote something that is no MCP message: here is no server \(Parse error",
        ),
        ("true", r"^stdio:true: the server ended: is it an MCP server that speaks on standard input"),
        ("/no/such-program", "^cannot start /no/such-program: No such file or directory$"),
    ],
)
async def test_a_command_that_is_no_server_is_told(kept: Kept, command: str, told: str) -> None:
    with pytest.raises(UserError, match=told) as caught:
        await read(Remote(url=f"stdio:{command}", revision="2025-11-25"), "a://b", kept)
    assert caught.value.code == Exit.UNREACHABLE


@REVISIONS
async def test_a_tool_that_asks_a_question_is_said_to_find_nobody(
    kept: Kept, revision: str, capsys: pytest.CaptureFixture[str]
) -> None:
    app = App("curious")

    @app.tool
    async def ask(context: Context) -> str:
        return str(await context.elicit("Where?", Report))

    code, told = Exit.OK, ""
    async with in_memory(app, revision=revision) as remote:
        try:
            code = Exit(await call(remote, "ask", [], kept))
        except UserError as error:
            code, told = error.code, str(error)
    assert code == (Exit.REFUSED if revision == "2026-07-28" else Exit.TOOL_FAILED)
    told += capsys.readouterr().err
    assert "mcptrio's commands cannot answer a server's questions" in told
    assert "elicitation.form" in told + kept.text


async def test_another_tool_s_error_is_no_question(kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    content = [{"type": "text", "text": "elicitation/create: Method not found"}]
    tools = {"tools": [{"name": "x", "inputSchema": {}}]}
    failed: dict[str, object] = {"isError": True, "content": content}
    async with old_server({"tools/list": tools, "tools/call": failed}) as remote:
        assert await call(remote, "x", [], kept) == Exit.TOOL_FAILED
    assert "cannot answer" in capsys.readouterr().err
    content[0]["text"] = "there is no such file"
    async with old_server({"tools/list": tools, "tools/call": failed}) as remote:
        assert await call(remote, "x", [], kept) == Exit.TOOL_FAILED
    assert capsys.readouterr().err == "mcptrio: the tool x reported an error\n"


async def test_a_question_that_was_not_to_be_asked_is_told(kept: Kept, autojump_clock: MockClock) -> None:
    asked: dict[str, object] = {"resultType": "input_required", "inputRequests": {}}
    async with old_server({"resources/read": asked}) as remote:
        with pytest.raises(UserError, match="and this client has not offered to answer any"):
            await read(remote, "a://b", kept)
