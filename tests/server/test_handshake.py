"""How a conversation opens, in either revision, and both on one connection."""

from __future__ import annotations

import pytest

from mcptrio import App, __version__
from mcptrio.protocol.types import ClientInfo
from tests.server.rig import (
    CAPABILITIES_KEY,
    ENVELOPE,
    INITIALIZE,
    VERSION_KEY,
    House,
    notification,
    request,
    running,
    updated,
)

CAPABILITIES = {
    "logging": {},
    "tools": {"listChanged": True},
    "resources": {"subscribe": True, "listChanged": True},
    "prompts": {"listChanged": True},
}


def house() -> App:
    app = App("house", title="The house", instructions="Be kind.")

    @app.tool
    async def echo(text: str) -> str:
        """Say it again."""
        return text

    @app.resource("a:{name}")
    async def resource(name: str) -> str:
        return name

    return app


async def test_initialize_opens_a_session() -> None:
    async with running(house()) as home:
        wire = await home.connect()
        assert await wire.initialize() == {
            "protocolVersion": "2025-11-25",
            "capabilities": CAPABILITIES,
            "serverInfo": {"name": "house", "version": __version__, "title": "The house"},
            "instructions": "Be kind.",
        }
        assert wire.connection.subprotocol == "mcp"
        result = await wire.result("tools/call", {"name": "echo", "arguments": {"text": "hi"}})
        assert result["content"] == [{"type": "text", "text": "hi"}]
        assert wire.peer.session is not None
        assert wire.peer.client == ClientInfo(name="test", version="1")


@pytest.mark.parametrize(
    ("offered", "answered"),
    [
        ("2025-11-25", "2025-11-25"),
        ("2025-06-18", "2025-06-18"),
        ("2025-03-26", "2025-11-25"),
        ("2024-11-05", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("2099-01-01", "2025-11-25"),
        ("nonsense", "2025-11-25"),
        ("", "2025-11-25"),
    ],
)
async def test_a_version_that_is_not_served_is_answered_with_the_one_that_has_a_handshake(
    offered: str, answered: str
) -> None:
    async with running(house()) as home:
        wire = await home.connect()
        result = await wire.result("initialize", {**INITIALIZE, "protocolVersion": offered})
        assert result["protocolVersion"] == answered
        await wire.send(notification("notifications/initialized"))
        await wire.subscribe("a:b")
        home.app.updated_nowait("a:b")
        assert await wire.receive() == updated("a:b")


async def test_a_second_initialize_is_refused_and_changes_nothing() -> None:
    async with running(house()) as home:
        wire = await home.connect(initialized=True)
        await wire.subscribe("a:b")
        session = wire.peer.session
        assert (await wire.error("initialize", INITIALIZE))[0] == -32600
        assert wire.peer.session is session
        assert home.app.hub.statistics().subscriptions == 1


@pytest.mark.parametrize(
    "params",
    [
        None,
        {},
        {**INITIALIZE, "clientInfo": {}},
        {**INITIALIZE, "capabilities": []},
        {**INITIALIZE, "protocolVersion": 1},
    ],
)
async def test_a_malformed_initialize_opens_no_session(params: dict[str, object] | None) -> None:
    async with running(house()) as home:
        wire = await home.connect()
        assert (await wire.error("initialize", params))[0] == -32602
        assert wire.peer.session is None
        await wire.initialize()


@pytest.mark.parametrize(
    "method",
    [
        "tools/list",
        "tools/call",
        "resources/subscribe",
        "subscriptions/listen",
        "server/discover",
        "no/such",
        "",
    ],
)
async def test_a_bare_request_before_initialize_is_told_what_is_missing(method: str) -> None:
    async with running(house()) as home:
        wire = await home.connect()
        code, message, data = await wire.error(method)
        assert code == -32602
        assert data == {"missing": [VERSION_KEY, CAPABILITIES_KEY]}
        assert "initialize" in message


async def test_a_bare_discover_is_refused_in_a_session_too() -> None:
    async with running(house()) as home:
        wire = await home.connect(initialized=True)
        code, _, data = await wire.error("server/discover")
        assert (code, data) == (-32602, {"missing": [VERSION_KEY, CAPABILITIES_KEY]})


async def test_ping_is_answered_before_initialize_and_after() -> None:
    async with running(house()) as home:
        wire = await home.connect()
        assert await wire.result("ping") == {}
        await wire.initialize()
        assert await wire.result("ping", {}) == {}


@pytest.mark.parametrize("method", ["subscriptions/listen", "no/such"])
async def test_a_session_has_no_method_of_the_other_revision(method: str) -> None:
    async with running(house()) as home:
        wire = await home.connect(initialized=True)
        assert (await wire.error(method, {"notifications": {}}))[0] == -32601


async def test_discover_says_what_is_served() -> None:
    async with running(house()) as home:
        wire = await home.connect()
        result = await wire.result("server/discover", modern=True)
        assert result["supportedVersions"] == ["2026-07-28", "2025-11-25"]
        assert result["capabilities"] == CAPABILITIES
        assert result["instructions"] == "Be kind."
        assert wire.peer.session is None


@pytest.mark.parametrize(
    "method",
    ["initialize", "ping", "resources/subscribe", "resources/unsubscribe", "logging/setLevel", "no/such"],
)
@pytest.mark.parametrize("initialized", [False, True])
async def test_an_enveloped_request_of_the_older_revision_is_not_found(
    method: str, initialized: bool
) -> None:
    async with running(house()) as home:
        wire = await home.connect(initialized=initialized)
        assert (await wire.error(method, {**INITIALIZE, "uri": "a:b"}, modern=True))[0] == -32601
        assert (wire.peer.session is not None) is initialized
        assert home.app.hub.statistics().subscriptions == 0


@pytest.mark.parametrize(
    ("version", "supported"),
    [
        ("2027-01-01", ["2026-07-28", "2025-11-25"]),
        ("2025-06-18", ["2026-07-28", "2025-11-25"]),
        ("2025-11-25", ["2026-07-28"]),
    ],
)
@pytest.mark.parametrize("method", ["server/discover", "tools/list", "initialize"])
async def test_a_version_that_is_not_served_in_an_envelope_is_told_which_are(
    version: str, supported: list[str], method: str
) -> None:
    async with running(house()) as home:
        wire = await home.connect()
        code, _, data = await wire.error(method, {"_meta": {**ENVELOPE, VERSION_KEY: version}})
        assert (code, data) == (-32022, {"supported": supported, "requested": version})


async def test_an_envelope_without_capabilities_names_the_missing_key() -> None:
    async with running(house()) as home:
        wire = await home.connect()
        code, _, data = await wire.error("tools/list", {"_meta": {VERSION_KEY: "2026-07-28"}})
        assert (code, data) == (-32602, {"missing": [CAPABILITIES_KEY]})


@pytest.mark.parametrize("initialized", [False, True])
async def test_an_envelope_without_a_version_names_the_missing_key(initialized: bool) -> None:
    async with running(house()) as home:
        wire = await home.connect(initialized=initialized)
        for method in ("tools/list", "server/discover"):
            code, message, data = await wire.error(method, {"_meta": {CAPABILITIES_KEY: {}}})
            assert (code, data) == (-32602, {"missing": [VERSION_KEY]})
            assert "protocolVersion" in message


async def test_an_envelope_with_a_mistyped_key_is_refused() -> None:
    async with running(house()) as home:
        wire = await home.connect()
        assert (await wire.error("tools/list", {"_meta": {VERSION_KEY: 7}}))[0] == -32602
        assert (await wire.error("tools/list", {"_meta": {**ENVELOPE, CAPABILITIES_KEY: "all"}}))[0] == -32602


async def test_both_revisions_are_served_on_one_connection_message_by_message() -> None:
    async with running(house()) as home:
        wire = await home.connect()
        assert "resultType" in await wire.result("tools/list", modern=True)
        await wire.initialize()
        assert "resultType" not in await wire.result("tools/list")
        assert "resultType" in await wire.result("tools/list", modern=True)
        await wire.subscribe("a:1")
        await wire.listen("l", "a:1", "a:2")
        home.app.updated_nowait("a:1")
        home.app.updated_nowait("a:2")
        messages = await wire.rest()
        assert sorted(str(message["params"]) for message in messages) == sorted(
            [
                "{'uri': 'a:1'}",
                "{'uri': 'a:1', '_meta': {'io.modelcontextprotocol/subscriptionId': 'l'}}",
                "{'uri': 'a:2', '_meta': {'io.modelcontextprotocol/subscriptionId': 'l'}}",
            ]
        )


@pytest.mark.parametrize(
    ("text", "id", "code"),
    [
        ("", None, -32700),
        ("{", None, -32700),
        ("[]", None, -32600),
        ('[{"jsonrpc":"2.0","id":1,"method":"ping"}]', None, -32600),
        ('{"id":"x","method":"ping"}', "x", -32600),
        ('{"jsonrpc":"2.0","id":null,"method":"ping"}', None, -32600),
        ('{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', 1, -32602),
        ('{"jsonrpc":"2.0","id":' + "9" * 5000 + ',"method":"ping"}', None, -32600),
        ("[" * 50_000, None, -32600),
    ],
)
async def test_what_is_no_message_gets_its_error_and_the_next_is_served(
    text: str, id: object, code: int
) -> None:
    async with running(house()) as home:
        wire = await home.connect()
        await wire.send(text)
        answer = await wire.receive()
        error = answer["error"]
        assert isinstance(error, dict)
        assert error["code"] == code
        assert answer.get("id") == id
        assert ("id" in answer) is (id is not None)
        assert await wire.result("ping") == {}


@pytest.mark.parametrize("id", [0, -1, 2**53, 2**63, 2**64, 10**100, "", "1", "ä\n\u2028", "x" * 200])
async def test_an_id_comes_back_as_it_was_sent(id: object) -> None:
    async with running(house()) as home:
        wire = await home.connect()
        await wire.call("ping", id=id)
        await wire.call("tools/call", {"name": "echo", "arguments": {"text": ""}}, modern=True, id=id)
        await wire.call("no/such", id=id)


@pytest.mark.parametrize(
    "message",
    [
        notification("notifications/initialized"),
        notification("notifications/cancelled"),
        notification("notifications/cancelled", {"requestId": None}),
        notification("notifications/cancelled", {"requestId": [1]}),
        notification("notifications/roots/list_changed"),
        notification("no/such", {"a": 1}),
        {"jsonrpc": "2.0", "id": 7, "result": {}},
        {"jsonrpc": "2.0", "id": 7, "error": {"code": -1, "message": "no"}},
        {"jsonrpc": "2.0", "error": {"code": -1, "message": "no"}},
    ],
)
async def test_notifications_and_responses_are_never_answered(message: dict[str, object]) -> None:
    async with running(house()) as home:
        wire = await home.connect()
        await wire.send(message)
        assert await wire.rest() == []
        assert wire.peer.session is None


async def test_a_notification_with_malformed_params_is_not_answered() -> None:
    async with running(house()) as home:
        wire = await home.connect()
        await wire.send('{"jsonrpc":"2.0","method":"notifications/initialized","params":[]}')
        await wire.send('{"jsonrpc":"2.0","method":"notifications/initialized","params":null}')
        assert await wire.rest() == []


async def test_initialized_may_come_twice_or_early() -> None:
    async with running(house()) as home:
        wire = await home.connect()
        await wire.send(notification("notifications/initialized"))
        await wire.initialize()
        await wire.send(notification("notifications/initialized"))
        assert await wire.rest(5.0) == []
        home.app.server.list_changes.changed(next(iter(home.app.server.list_changes._watchers)))
        assert len(await wire.rest(5.0)) == 1


async def test_two_connections_have_two_sessions() -> None:
    async with running(house()) as home:
        one, two = await home.connect(initialized=True), await home.connect()
        assert (await two.error("tools/list"))[0] == -32602
        await one.subscribe("a:b")
        await two.initialize()
        home.app.updated_nowait("a:b")
        assert len(await one.rest()) == 1
        assert await two.rest() == []


async def test_requests_are_counted() -> None:
    async with running(house()) as home:
        wire = await home.connect()
        await wire.call("ping")
        await wire.call("no/such")
        await wire.send("{")
        await wire.receive()
        await wire.send(request(1, "server/discover", modern=True))
        await wire.receive()
        figures = await home.metrics()
        assert figures["mcptrio_requests_total"] == 3
        assert figures["mcptrio_errors_total"] == 2


@pytest.mark.parametrize("modern", [False, True], ids=["2025-11-25", "2026-07-28"])
async def test_completions_are_announced_where_there_are_any_and_answered_in_any_case(modern: bool) -> None:
    app = house()
    params = {
        "ref": {"type": "ref/resource", "uri": "a:{name}"},
        "argument": {"name": "name", "value": "o"},
    }

    async def announced(home: House) -> bool:
        wire = await home.connect()
        result = await (wire.result("server/discover", modern=True) if modern else wire.initialize())
        completed = await wire.result("completion/complete", {**params}, modern=modern)
        values = completed["completion"]["values"]  # type: ignore[index]
        assert values == (["one"] if "completions" in result["capabilities"] else [])  # type: ignore[operator]
        return bool(values)

    async with running(app) as home:
        assert not await announced(home)
        app.catalog.completions(template="a:{name}").set("name", ["one", "two"])
        assert await announced(home)
