"""Which subscriptions there may be: every row of the first table of docs/extension.md, and what is refused, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest
from trio.testing import MockClock

from mcptrio import ServerSettings
from tests.extension.judge import CALLED, SUBSCRIPTIONS
from tests.extension.rig import (
    BOTH,
    DECLARED,
    Client,
    changes,
    client,
    glob,
    house,
    listening,
    living,
    offsets,
    publish,
    selecting,
    update,
)
from tests.server.rig import UPDATED, Json, updated

WHERE = {True: f"notifications.{SUBSCRIPTIONS}[0]", False: f"_meta.{SUBSCRIPTIONS}"}

SELECTED: dict[str, tuple[Json, list[str], list[str]]] = {
    "a uri is itself": ({"uri": "mail://a/1"}, ["mail://a/1"], ["mail://a/2", "mail://a/1/"]),
    "a variable is one character or more of a segment": (
        {"template": "mail://{box}/{id}"},
        ["mail://a/1", "mail://abc/123"],
        ["mail://a/b/c", "mail://a/1?x", "mail://a/1#x", "mail:///1", "mail://a/"],
    ),
    "a reserved variable is any characters": (
        {"template": "mail://a/{+path}"},
        ["mail://a/1", "mail://a/b/c", "mail://a/b?x#y"],
        ["mail://a/", "mail://b/1"],
    ),
    "a star is within a segment": (
        {"glob": "mail://*/1*"},
        ["mail://a/1", "mail:///1", "mail://a/12"],
        ["mail://a/b/1", "mail://a/21", "mail://a/1/2"],
    ),
    "two stars are any characters": (
        {"glob": "mail://**1"},
        ["mail://a/1", "mail://a/b/c1", "mail://1"],
        ["mail://a/2"],
    ),
    "a question mark is one character": (
        {"glob": "mail://a/?"},
        ["mail://a/1", "mail://a/b"],
        ["mail://a/12", "mail://a/", "mail://a//"],
    ),
    "a run of question marks is one wildcard": (
        {"glob": "mail://a/" + "?" * 40},
        ["mail://a/" + "x" * 40],
        ["mail://a/" + "x" * 39],
    ),
}


@BOTH
@pytest.mark.parametrize(("selector", "those", "others"), SELECTED.values(), ids=list(SELECTED))
async def test_a_selector_selects(
    selector: Json, those: list[str], others: list[str], modern: bool, autojump_clock: MockClock
) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, modern)
        asked: Json = {"label": "one", **selector}
        (honoured,) = await one.ask(asked)
        cursor = f"{app.hub.epoch}.0"
        assert honoured == {**asked, "policy": "conflate", "fields": "none", "cursor": cursor}
        for uri in [*others, *those, *others]:
            publish(app, uri)
        assert [update(each)[0] for each in await one.rest()] == those


def refused(part: str, **members: object) -> tuple[Json, str]:
    """A subscription, and the place of its fault; the member `-` is left out."""
    return {name: value for name, value in glob(**members).items() if value != "-"}, part


REFUSED = [
    refused(".label", label=None),
    refused(".label", label=""),
    refused(".label", label="a b"),
    refused(".label", label=".."),
    refused(".label", label="ä"),
    refused(".label", label="a\n"),
    refused(".label", label="x" * 65),
    refused(".label", label=7),
    refused("", uri="mail://a/1"),
    refused("", template="mail://{a}", uri="mail://a/1"),
    refused("", glob="-"),
    refused(".glob", text=7),
    refused(".glob", text=""),
    refused(".glob", text="mail"),
    refused(".glob", text="/a/*"),
    refused(".glob", text="mail://{a}"),
    refused(".glob", text="mail://[ab]/*"),
    refused(".glob", text="mail://a b/*"),
    refused(".glob", text="mail://" + "*/" * 17),
    refused(".glob", text="mail://*/" + "x" * 2040),
    refused(".template", glob="-", template="mail://{a}/{a}"),
    refused(".template", glob="-", template="mail://{a,b}"),
    refused(".template", glob="-", template="mail://{?a}"),
    refused(".template", glob="-", template="mail://{a"),
    refused(".template", glob="-", template="mail://" + "".join(f"{{a{n}}}/" for n in range(17))),
    refused(".uri", glob="-", uri="mail"),
    refused(".uri", glob="-", uri="mail://a/ä"),
    refused(".policy", policy="batch"),
    refused(".policy", policy={}),
    refused(".policy", policy=["every"]),
    refused(".policy.batch", policy={"batch": {"windowMs": 1}}),
    refused(".policy.batch", policy={"batch": {"windowMs": 1, "maxWaitMs": 1, "more": 1}}),
    refused(".policy.batch.windowMs", policy={"batch": {"windowMs": 0, "maxWaitMs": 1}}),
    refused(".policy.batch.windowMs", policy={"batch": {"windowMs": 60_001, "maxWaitMs": 60_001}}),
    refused(".policy.batch.windowMs", policy={"batch": {"windowMs": 1.5, "maxWaitMs": 60_001}}),
    refused(".policy.batch.windowMs", policy={"batch": {"windowMs": True, "maxWaitMs": 60_001}}),
    refused(".policy.batch.maxWaitMs", policy={"batch": {"windowMs": 10, "maxWaitMs": 9}}),
    refused(".policy.batch.maxWaitMs", policy={"batch": {"windowMs": 10, "maxWaitMs": 600_001}}),
    refused(".fields", fields="data"),
    refused(".fields", fields=[]),
    refused(".fields", fields={}),
    refused(".fields", fields=["/a"] * 65),
    refused(".fields[1]", fields=["/a", "a"]),
    refused(".fields[1]", fields=["/a", "/~2"]),
    refused(".fields[0]", fields=[7]),
    refused(".since", since=7),
    refused(".since", since=""),
    refused(".since", since="latest"),
    refused(".since", since="9F2C51D07A3B4E68.1"),
    refused(".since", since="9f2c51d07a3b4e68.-1"),
    refused(".since", since="9f2c51d07a3b4e68." + "9" * 400),
]


@BOTH
async def test_what_is_no_subscription_is_refused_with_the_place_of_the_fault(
    modern: bool, autojump_clock: MockClock
) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, modern)
        for asked, part in REFUSED:
            code, message, _ = await one.refused(asked)
            assert code == -32602, asked
            assert message.startswith(f"Invalid params: {WHERE[modern]}{part}: "), (asked, message)
            assert len(message) < 400, asked
        # Nothing has begun.
        assert (len(app.hub.selections), one.wire.peer.listens) == (0, {})


@BOTH
async def test_what_is_no_object_is_refused(modern: bool, autojump_clock: MockClock) -> None:
    async with living(house()) as home:
        one = await client(home, modern)
        for asked in (7, "x", [], True, [[]]):
            code, message, _ = await one.refused(asked)
            assert code == -32602 and message.startswith(f"Invalid params: {WHERE[modern]}: an object"), (
                message
            )


@pytest.mark.parametrize("value", [7, "x", {}, True, 1.5])
async def test_what_is_no_list_of_subscriptions_is_refused(value: object, autojump_clock: MockClock) -> None:
    async with living(house()) as home:
        one = await client(home, True)
        message = listening("l")
        message["params"]["notifications"][SUBSCRIPTIONS] = value  # type: ignore[index]
        await one.wire.send(message)
        assert (await one.wire.receive())["error"]["code"] == -32602  # type: ignore[index]


@BOTH
async def test_members_that_nobody_knows_are_ignored_and_null_is_nothing_given(
    modern: bool, autojump_clock: MockClock
) -> None:
    async with living(house()) as home:
        one = await client(home, modern)
        asked = glob(
            uri=None, template=None, filter=None, policy=None, fields=None, since=None, more={"a": 1}
        )
        (honoured,) = await one.ask(asked)
        assert {**honoured, "cursor": ""} == {**glob(), "policy": "conflate", "fields": "none", "cursor": ""}
        if modern:
            message = listening("null")
            message["params"]["notifications"][SUBSCRIPTIONS] = None  # type: ignore[index]
            await one.wire.send(message)
            assert (await one.wire.receive())["params"]["notifications"] == {}  # type: ignore[index]
        else:
            plain = {"uri": "mail://a/1", "_meta": {SUBSCRIPTIONS: None}}
            assert await one.wire.result("resources/subscribe", plain) == {}


async def test_a_label_is_used_once_in_a_listen(autojump_clock: MockClock) -> None:
    async with living(house()) as home:
        one = await client(home, True)
        code, message, _ = await one.refused(glob(label="a"), glob(label="b"), glob(label="a"))
        assert code == -32602
        assert message.startswith(f"Invalid params: notifications.{SUBSCRIPTIONS}[2].label: ")
        # But each listen has labels of its own.
        assert len(await one.ask(glob(label="a"))) == 1
        assert len(await Client(one.wire, True, "other").ask(glob(label="a"))) == 1


NOWHERE: list[Json] = [
    {"uri": "mail://a"},
    {"uri": "other://a/1"},
    {"glob": "other://*"},
    {"glob": "mail://a"},
    {"template": "notes:{id}"},
]


@pytest.mark.parametrize("selector", NOWHERE)
async def test_what_could_never_match_is_left_out_of_the_acknowledgement_and_refused_in_a_session(
    selector: Json, autojump_clock: MockClock
) -> None:
    app = house()
    async with living(app) as home:
        one, other = await client(home, True), await client(home, False)
        asked: Json = {"label": "never", **selector}
        honoured = await one.ask(glob(label="a"), asked, glob(label="b"))
        assert [each["label"] for each in honoured] == ["a", "b"]
        uri = selecting(asked)["uri"]
        assert await other.refused(asked) == (-32002, f"Resource not found: {uri}", {"uri": uri})
        assert len(app.hub.selections) == 2
        alone = Client(one.wire, True, "alone")
        assert await alone.ask(asked) == []


@pytest.mark.parametrize("text", ["*", "**", "m*", "mail://a/*", "note:*", "mail:*", "m?il://*/*"])
async def test_what_might_match_is_honoured(text: str, autojump_clock: MockClock) -> None:
    async with living(house()) as home:
        for modern in (False, True):
            assert len(await (await client(home, modern)).ask(glob(text))) == 1


async def test_the_uri_of_a_session_s_request_must_be_that_of_its_subscription(
    autojump_clock: MockClock,
) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, False)
        for asked, uri in (
            (glob(label="a"), "mail://a/1"),
            (glob(label="a"), f"{CALLED}b"),
            ({"label": "a", "uri": "mail://a/1"}, f"{CALLED}a"),
            ({"label": "a", "uri": "mail://a/1"}, "mail://a/2"),
        ):
            code, message, _ = await one.wire.error(
                "resources/subscribe", {"uri": uri, "_meta": {SUBSCRIPTIONS: asked}}
            )
            assert code == -32602 and message.startswith("Invalid params: `uri`: "), message
        assert len(app.hub.selections) == 0


async def test_a_session_that_has_not_opted_in_subscribes_plainly_whatever_stands_in_meta(
    autojump_clock: MockClock,
) -> None:
    app = house()
    async with living(app) as home:
        wire = await home.connect(initialized=True)
        for value in (glob(), {"label": 7}, 7, None, [[[]]]):
            params = {"uri": "mail://a/1", "_meta": {SUBSCRIPTIONS: value}}
            assert await wire.result("resources/subscribe", params) == {}
        code, _, _ = await wire.error("resources/subscribe", selecting(glob()))
        assert code == -32002
        publish(app, "mail://a/1", "created", {"n": 1})
        assert [each for each in await wire.rest() if each["method"] == UPDATED] == [updated("mail://a/1")]
        assert len(app.hub.selections) == 0


@BOTH
async def test_one_subscription_too_many_is_refused_and_the_others_stay(
    modern: bool, autojump_clock: MockClock
) -> None:
    app = house(replace(ServerSettings(), max_selections=3, max_subscriptions=4))
    async with living(app) as home:
        one = await client(home, modern)
        await one.ask(*(glob(label=str(number)) for number in range(3)))
        more = Client(one.wire, modern, "more")
        _, _, data = await more.refused(glob(label="3"))
        assert data == {"reason": "subscription_limit", "limit": 3}
        # Others of the same kind are not concerned, nor is this client's plain side, up to its own bound.
        other = await client(home, modern)
        assert len(await other.ask(glob())) == 1
        publish(app, "mail://a/1")
        assert offsets(await one.rest()) == [1, 1, 1]
        if modern:
            refusal = listening("p", resourceSubscriptions=["mail://a/1", "mail://a/2"])
            await one.wire.send(refusal)
            assert (await one.wire.receive())["error"]["data"]["limit"] == 4  # type: ignore[index]


async def test_plain_and_other_subscriptions_of_one_listen_count_together(autojump_clock: MockClock) -> None:
    app = house(replace(ServerSettings(), max_subscriptions=4))
    async with living(app) as home:
        one = await client(home, True)
        uris = [f"mail://a/{number}" for number in range(3)]
        await one.wire.send(listening("l", glob(label="a"), glob(label="b"), resourceSubscriptions=uris))
        answer = await one.wire.receive()
        assert answer["error"]["data"] == {"reason": "subscription_limit", "limit": 4}  # type: ignore[index]
        assert app.hub.statistics().subscriptions == len(app.hub.selections) == 0
        await one.wire.send(listening("l", glob(label="a"), resourceSubscriptions=uris))
        assert "error" not in await one.wire.receive()


@BOTH
async def test_filters_count_together_over_all_subscriptions_of_a_client(
    modern: bool, autojump_clock: MockClock
) -> None:
    app = house(replace(ServerSettings(), max_filter_nodes=5))
    async with living(app) as home:
        one = await client(home, modern)
        three: Json = {"and": [{"kind": "created"}, {"exists": "/a"}]}
        await one.ask(glob(label="a", filter=three))
        more = Client(one.wire, modern, "more")
        _, _, data = await more.refused(glob(label="b", filter=three))
        assert data == {"reason": "subscription_limit", "limit": 5}
        await more.ask(glob(label="b", filter={"not": {"exists": "/a"}}))
        if not modern:  # what takes another's place takes its filters' place, too
            await more.ask(glob(label="a", filter=three))
        assert len(app.hub.selections) == 2


async def test_the_limits_that_are_declared_are_those_of_the_settings(autojump_clock: MockClock) -> None:
    app = house(replace(ServerSettings(), max_selections=7, max_filter_nodes=99))
    async with living(app) as home:
        wire = await home.connect()
        told = await wire.result("server/discover", {"_meta": DECLARED}, modern=True)
        limits = told["capabilities"]["extensions"]["io.mcptrio/live"]["limits"]  # type: ignore[index]
        assert (limits["subscriptions"], limits["filterNodesInAll"]) == (7, 99)


@BOTH
async def test_each_subscription_is_told_by_itself(modern: bool, autojump_clock: MockClock) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, modern)
        labels = ["a", "b", "A.-_9", "x" * 64]
        await one.ask(*(glob(label=label) for label in labels))
        offset = publish(app, "mail://a/1")
        told = changes(await one.rest())
        assert [(each["label"], each["offset"], each["prev"]) for each in told] == [
            (label, offset, 0) for label in labels
        ]
