"""docs/extension.md: each example of it is sent, or is sent by the server, as it stands there."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import trio
from trio.testing import MockClock

from mcptrio import App
from mcptrio.live import Change
from tests.extension.judge import CHANGE, REASONS, SUBSCRIPTIONS
from tests.extension.rig import DECLARED, EXTENSIONS, OPENING, client, glob, listening, living
from tests.server.rig import CAPABILITIES_KEY, ENVELOPE, INITIALIZE, Json, request, running

PAGE = (Path(__file__).parents[2] / "docs" / "extension.md").read_text()
BLOCKS = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
EPOCH, OFFSET = "9f2c51d07a3b4e68", 1042


def example(beginning: str) -> Json:
    """The one example whose JSON begins like this."""
    (found,) = [block for block in BLOCKS if block.startswith(beginning)]
    value = json.loads(found)
    assert isinstance(value, dict)
    return value


def documented() -> App:
    """An app whose hub has got to where the examples begin."""
    app = App("house")
    app.catalog.add_pattern("mail://{folder}/{id}")
    app.hub.epoch, app.hub.offset = EPOCH, OFFSET
    return app


def test_each_block_of_the_page_is_json() -> None:
    assert len(BLOCKS) == 7
    for block in BLOCKS:
        assert isinstance(json.loads(block), dict)


async def test_the_declaration_is_the_documented_one_in_each_place_and_for_those_only_who_have_declared(
    autojump_clock: MockClock,
) -> None:
    declaration = example('{"io.mcptrio/live"')
    async with running(documented()) as home:
        wire = await home.connect()
        told = await wire.result("server/discover", {"_meta": DECLARED}, modern=True)
        plain = await wire.result("server/discover", {}, modern=True)
        assert told["capabilities"] == {**plain["capabilities"], "extensions": declaration}  # type: ignore[dict-item]
        assert "extensions" not in plain["capabilities"]  # type: ignore[operator]
        old = await (await home.connect()).result("initialize", INITIALIZE)
        assert not {"extensions", "experimental"} & set(old["capabilities"])  # type: ignore[call-overload]
        for capabilities in (EXTENSIONS, {"experimental": EXTENSIONS["extensions"]}):
            asked = {**INITIALIZE, "capabilities": capabilities}
            new = await (await home.connect()).result("initialize", asked)
            both = {"extensions": declaration, "experimental": declaration}
            assert new["capabilities"] == {**old["capabilities"], **both}  # type: ignore[dict-item]


UNDECLARED: list[Json] = [
    {},
    {"extensions": {}},
    {"extensions": {"io.mcptrio/other": {}}},
    {"extensions": 7, "experimental": []},
    {"extensions": {"io.mcptrio/live": None}},
    {"extensions": {"io.mcptrio/live": 7}},
    {"io.mcptrio/live": {}},
]


async def test_who_has_not_declared_it_is_told_nothing_of_it_and_what_it_asks_is_ignored(
    autojump_clock: MockClock,
) -> None:
    async with living(documented()) as home:
        for capabilities in UNDECLARED:
            wire = await home.connect()
            told = [await wire.result("initialize", {**INITIALIZE, "capabilities": capabilities})]
            meta = {CAPABILITIES_KEY: capabilities}
            told.append(await wire.result("server/discover", {"_meta": meta}, modern=True))
            asked = {"notifications": {SUBSCRIPTIONS: [glob()]}, "_meta": meta}
            await wire.send(request("l", "subscriptions/listen", asked, modern=True))
            told.append(await wire.receive())
            assert "io.mcptrio" not in json.dumps(told)
        assert len(home.app.hub.selections) == 0


def rows(section: str) -> list[list[str]]:
    """The cells of each row of the tables in a section, heads left out."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[1:]]


async def test_each_filter_in_the_table_is_one(autojump_clock: MockClock) -> None:
    shown: list[object] = []
    names: list[str] = []
    for cells in rows("Filters"):
        for code in re.findall(r"`([^`]*)`", cells[0]):
            if code.startswith("{"):
                filled = code.replace("[...]", '[{"kind": "x"}]').replace("{...}", '{"kind": "x"}')
                shown.append(json.loads(filled))
            else:
                names.append(code)
    assert len(shown) > 10 and names == ["le", "gt", "ge", "suffix", "contains"]
    shown += [{name: {"/a": "b"}} for name in names]
    async with living(documented()) as home:
        for modern in (False, True):
            one = await client(home, modern)
            asked = [glob(label=str(number), filter=filter) for number, filter in enumerate(shown)]
            assert [each["filter"] for each in await one.ask(*asked)] == shown


def test_each_member_in_the_tables_is_known_to_the_judge_of_all_that_is_sent() -> None:
    asked = [name for cells in rows("A subscription") for name in re.findall(r"`(\w+)`", cells[0])]
    assert asked == ["label", "uri", "template", "glob", "filter", "policy", "fields", "since"]
    told = [name for cells in rows("What is delivered") for name in re.findall(r"`(\w+)`", cells[0])]
    assert told == ["label", "kind", "offset", "prev", "at", "eventId", "data", "metadata", "omitted"]
    reasons = re.findall(r"`(\w+)`: ", PAGE.partition("### Gaps")[2].partition("\n## ")[0])
    assert set(reasons) == REASONS


async def test_the_subscription_that_is_shown_is_taken_with_its_cursor(autojump_clock: MockClock) -> None:
    asked = example('{"label": "inbox",\n "template"')
    async with living(documented()) as home:
        for modern in (False, True):
            other = await client(home, modern)
            (honoured,) = await other.ask(asked)
            told = {name: value for name, value in asked.items() if name != "since"}
            assert honoured == {**told, "cursor": asked["since"], "recovered": True}


async def test_the_listen_that_is_shown_is_acknowledged_as_shown(autojump_clock: MockClock) -> None:
    asked = example('{"jsonrpc": "2.0", "id": "l", "method": "subscriptions/listen"')
    async with living(documented()) as home:
        wire = await home.connect()
        await wire.send(asked)
        assert await wire.receive() == example(
            '{"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged"'
        )


async def test_the_session_s_subscription_that_is_shown_is_answered_as_shown(
    autojump_clock: MockClock,
) -> None:
    asked = example('{"jsonrpc": "2.0", "id": 7, "method": "resources/subscribe"')
    async with living(documented()) as home:
        wire = await home.connect()
        await wire.result("initialize", OPENING)
        await wire.send(asked)
        assert await wire.receive() == example('{"jsonrpc": "2.0", "id": 7, "result"')


async def test_the_delivery_that_is_shown_is_what_is_told(autojump_clock: MockClock) -> None:
    shown = example('{"jsonrpc": "2.0", "method": "notifications/resources/updated"')
    async with living(documented()) as home:
        wire = await home.connect()
        await wire.send(listening("l", glob("mail://inbox/*", "inbox", fields=["/subject"])))
        await wire.receive()
        change = Change(
            uri="mail://inbox/17",
            kind="created",
            data={"subject": "Hello", "body": "not asked for"},
            metadata={"version": "3", "size": 512, "author": "ada", "tags": ["urgent"]},
            event_id="<17@example.org>",
            at=datetime(2026, 11, 20, 15, 4, 5, 678_000, tzinfo=UTC),
        )
        home.app.hub.publish(change)
        assert await wire.receive() == shown


async def test_what_is_told_of_a_subscription_fits_the_standard_schema_of_both_revisions(
    autojump_clock: MockClock,
) -> None:
    """The tap of all tests judges that; here it is seen that there was something to judge."""
    async with living(documented()) as home:
        for modern in (False, True):
            other = await client(home, modern)
            await other.ask(glob(label="a"))
            home.app.hub.publish(Change(uri="mail://a/1"))
            message = await other.wire.receive()
            assert CHANGE in json.dumps(message) and message["method"] == "notifications/resources/updated"


def test_the_names_on_the_page_are_the_names_of_the_tests() -> None:
    for name in (SUBSCRIPTIONS, CHANGE, "io.mcptrio/live", "mcptrio://subscriptions/"):
        assert name in PAGE


async def test_a_declared_extension_is_taken_of_each_listen_by_itself(autojump_clock: MockClock) -> None:
    async with living(documented()) as home:
        wire = await home.connect()
        plain = listening("plain", glob())
        params = plain["params"]
        assert isinstance(params, dict)
        params["_meta"] = ENVELOPE
        await wire.send(plain, listening("live", glob()))
        honoured = {}
        for _ in range(2):
            params = (await wire.receive())["params"]
            assert isinstance(params, dict)
            honoured[params["_meta"]["io.modelcontextprotocol/subscriptionId"]] = params["notifications"]
        assert honoured["plain"] == {} and SUBSCRIPTIONS in honoured["live"]
        assert len(home.app.hub.selections) == 1
        # What the session has declared is nothing to a listen, and the reverse.
        both = await client(home, False)
        await both.wire.send(request(1, "subscriptions/listen", {"notifications": {}}, modern=True))
        await both.wire.receive()
        await trio.testing.wait_all_tasks_blocked()
        assert len(home.app.hub.selections) == 1
