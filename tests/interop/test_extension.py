"""docs/extension.md from outside: a server in its process, and clients that have nothing of ours."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import count

import pytest
import trio

from .conftest import Judge
from .foreign import (
    CHANGE,
    EXTENSION,
    SUBSCRIPTION_ID,
    SUBSCRIPTIONS,
    Channel,
    ForeignClient,
    HttpChannel,
    Json,
    StdioChannel,
    WebSocketChannel,
)
from .processes import CLIENTS, DEADLINE, ROOT, LineProcess

LETTERS = "tests.interop.servers.letters:app"
BOTH = pytest.mark.parametrize("modern", [False, True], ids=["2025-11-25", "2026-07-28"])


class Server:
    """Where the server is, and a pen."""

    def __init__(self, endpoint: str, websocket: str) -> None:
        self.endpoint = endpoint
        self.websocket = websocket

    def channel(self, transport: str) -> Channel:
        return WebSocketChannel(self.websocket) if transport == "websocket" else HttpChannel(self.endpoint)

    def write(self, to: str, *letters: int) -> None:
        """Have letters arrive, by a client of its own, which is plain."""
        write(ForeignClient(HttpChannel(self.endpoint), modern=True, declares=False), to, *letters)


def write(client: ForeignClient, to: str, *letters: int) -> None:
    """Have letters arrive, each with as many words as its number."""
    for number in letters:
        arguments = {"to": to, "number": number, "words": number}
        assert not client.ask("tools/call", {"name": "write", "arguments": arguments}).get("isError")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    process = subprocess.Popen(
        [sys.executable, "-m", "mcptrio", "serve", LETTERS, "--port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        yield Server(**json.loads(process.stdout.readline()))
    finally:
        process.terminate()
        process.communicate(timeout=DEADLINE)


_readers = count(1)


@pytest.fixture
def to() -> str:
    """Somebody who has had no letters yet."""
    return f"reader-{next(_readers)}"


class Reader:
    """A client that is told of long letters to somebody."""

    def __init__(self, client: ForeignClient, to: str) -> None:
        self.client = client
        self._to = to
        self.cursor = ""
        capabilities = client.open()["extensions"]
        assert isinstance(capabilities, dict)
        assert capabilities[EXTENSION]["version"] == 1

    def begin(self, since: str | None = None) -> None:
        """Subscribe, behind a cursor if there is one; all is honoured, and nothing is lost."""
        wanted: Json = {
            "label": "long",
            "glob": f"letters://{self._to}/*",
            "filter": {"gt": {"/words": 10}},
            "policy": "every",
            "fields": ["/words", "/sender"],
        }
        honoured = self.client.subscribe(wanted if since is None else {**wanted, "since": since})
        self.cursor = str(honoured.pop("cursor"))
        assert honoured == (wanted if since is None else {**wanted, "recovered": True})
        assert since in (None, self.cursor)

    def expect(self, *letters: int) -> None:
        """These are the next that it is told of, and their numbers leave no hole."""
        for number in letters:
            uri, change = self.client.told()
            life, _, prev = self.cursor.partition(".")
            self.cursor = f"{life}.{change.pop('offset')}"
            assert uri == f"letters://{self._to}/{number}"
            assert change == {
                "label": "long",
                "kind": "updated",
                "prev": int(prev),
                "data": {"/words": number},
                "metadata": {"author": "grace"},
            }


@BOTH
@pytest.mark.parametrize("transport", ["websocket", "http"])
def test_who_loses_the_connection_comes_back_with_its_cursor_and_is_told_exactly_what_it_missed(
    server: Server, transport: str, modern: bool, to: str
) -> None:
    reader = Reader(ForeignClient(server.channel(transport), modern=modern), to)
    reader.begin()
    server.write(to, 11, 1, 12, 13)
    reader.expect(11, 12, 13)
    reader.client.channel.drop()
    server.write(to, 14, 2, 15, 16)
    again = Reader(ForeignClient(server.channel(transport), modern=modern), to)
    again.begin(since=reader.cursor)
    server.write(to, 3, 17)
    again.expect(14, 15, 16, 17)
    again.client.channel.drop()


def test_a_session_whose_stream_was_cut_is_told_the_rest_by_its_last_event_id(
    server: Server, to: str
) -> None:
    channel = HttpChannel(server.endpoint)
    reader = Reader(ForeignClient(channel, modern=False), to)
    reader.begin()
    server.write(to, 11, 1, 12, 13)
    reader.expect(11, 12)  # the last one is lost on the way
    channel.drop()
    server.write(to, 14, 15)
    channel.come_back()
    server.write(to, 16)
    reader.expect(13, 14, 15, 16)
    channel.drop()


@BOTH
def test_over_pipes_too_a_subscription_goes_on_where_another_one_ended(modern: bool, to: str) -> None:
    client = ForeignClient(StdioChannel(LETTERS), modern=modern)
    reader = Reader(client, to)
    reader.begin()
    write(client, to, 11, 1, 12, 13)
    reader.expect(11, 12, 13)
    client.unsubscribe("long")
    write(client, to, 14, 2, 15)
    reader.begin(since=reader.cursor)
    write(client, to, 16)
    reader.expect(14, 15, 16)
    client.channel.drop()


def test_one_list_of_more_subscriptions_than_there_may_be_is_refused_as_one_too_many_is(
    server: Server,
) -> None:
    client = ForeignClient(WebSocketChannel(server.websocket), modern=True)
    extensions = client.open()["extensions"]
    most = extensions[EXTENSION]["limits"]["subscriptions"]  # type: ignore[index]
    wanted: list[Json] = [{"label": str(number), "glob": "letters://*/1"} for number in range(most + 1)]
    error = client.listen(wanted)["error"]
    assert isinstance(error, dict)
    assert error["code"] == -32603
    assert error["data"] == {"reason": "subscription_limit", "limit": most}
    client.channel.drop()


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_the_official_sdk_carries_the_extension_and_a_plain_one_beside_it_notices_nothing(
    judge: Judge, server: Server, mode: str, to: str
) -> None:
    uri = f"letters://{to}/11"
    wanted = {"label": "all", "glob": f"letters://{to}/*", "fields": "all"}
    async with LineProcess(judge("mcp-2"), CLIENTS / "sdk_2_raw.py", server.endpoint, mode) as clients:
        told: dict[str, list[Json]] = {"extended": [], "plain": []}

        async def line() -> Json:
            line: Json = json.loads(await clients.output.next())
            assert not {"broken", "error"} & set(line), line
            if "told" in line:
                told[str(line["told"])].append(line["message"])  # type: ignore[arg-type]
            return line

        async def do(command: str, **arguments: object) -> object:
            await clients.write(json.dumps({"do": command, **arguments}))
            while "did" not in (answer := await line()):
                pass
            return answer["result"]

        capabilities = await do("capabilities")
        assert isinstance(capabilities, list)
        extended, plain = capabilities
        if mode == "legacy":
            # Of 2026-07-28 the SDK takes the capabilities for granted, and does not ask.
            assert extended.pop("experimental") == extended["extensions"]
            assert list(extended.pop("extensions")) == [EXTENSION]
        assert extended == plain
        await do("subscribe_plainly", uri=uri)
        answer = await do("subscribe", wanted=wanted)
        if mode == "legacy":
            honoured = answer["_meta"][SUBSCRIPTIONS]  # type: ignore[index]
        else:
            while not any(SUBSCRIPTIONS in json.dumps(message) for message in told["extended"]):
                await line()
            acknowledged = told["extended"].pop()["params"]
            (honoured,) = acknowledged["notifications"][SUBSCRIPTIONS]  # type: ignore[index]
        told["plain"].clear()
        await trio.to_thread.run_sync(server.write, to, 11)
        while not (told["plain"] and told["extended"]):
            await line()

        (update,) = told["plain"]
        assert update["method"] == "notifications/resources/updated"
        assert "io.mcptrio" not in json.dumps(update)
        (update,) = told["extended"]
        params = update["params"]
        assert isinstance(params, dict)
        change = params["_meta"].pop(CHANGE)
        params["_meta"].pop(SUBSCRIPTION_ID, None)
        assert params == {"uri": uri, "_meta": {}}
        assert change["prev"] == int(str(honoured["cursor"]).partition(".")[2])
        assert (change["label"], change["kind"], change["data"]["words"]) == ("all", "updated", 11)
        assert change["metadata"] == {"author": "grace"}
        assert await clients.end_input() == 0
