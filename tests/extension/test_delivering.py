"""What is told of a change: every row of the second table of docs/extension.md, of filters, and of fields."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

import pytest
from trio.testing import MockClock

from mcptrio.live import Change
from tests.extension.rig import BOTH, changes, client, glob, house, living, publish, update
from tests.server.rig import Json

DATA: Json = {
    "status": "open",
    "n": 3,
    "none": None,
    "path": "src/deep/a.py",
    "subject": "Re: a fish",
    "tags": ["urgent", 7, {"a": 1}],
    "a/b": {"c~d": [10, 20]},
    "yes": True,
}


class Row(NamedTuple):
    """A filter, and whether it matches `DATA` as created."""

    filter: Json
    matches: bool


FILTERS = [
    Row({"kind": "created"}, True),
    Row({"kind": "updated"}, False),
    Row({"kind": ["deleted", "created"]}, True),
    Row({"kind": ["deleted", "updated"]}, False),
    Row({"eq": {"/status": "open"}}, True),
    Row({"eq": {"/status": "Open"}}, False),
    Row({"eq": {"/n": 3.0}}, True),
    Row({"eq": {"/n": "3"}}, False),
    Row({"eq": {"/yes": 1}}, False),
    Row({"eq": {"/none": None}}, True),
    Row({"eq": {"/absent": None}}, False),
    Row({"eq": {"/a~1b/c~0d/1": 20}}, True),
    Row({"eq": {"/tags/2": {"a": 1.0}}}, True),
    Row({"eq": {"": DATA}}, True),
    Row({"in": {"/status": ["new", "open"]}}, True),
    Row({"in": {"/status": ["new"]}}, False),
    Row({"lt": {"/n": 4}}, True),
    Row({"lt": {"/n": 3}}, False),
    Row({"lt": {"/n": "4"}}, False),
    Row({"le": {"/n": 3}}, True),
    Row({"gt": {"/n": 2.9}}, True),
    Row({"gt": {"/yes": 0}}, False),
    Row({"ge": {"/status": "op"}}, True),
    Row({"ge": {"/status": "p"}}, False),
    Row({"prefix": {"/subject": "Re:"}}, True),
    Row({"prefix": {"/subject": "re:"}}, False),
    Row({"suffix": {"/subject": "fish"}}, True),
    Row({"suffix": {"/n": "3"}}, False),
    Row({"contains": {"/subject": "a f"}}, True),
    Row({"contains": {"/tags": "urgent"}}, True),
    Row({"contains": {"/tags": 7.0}}, True),
    Row({"contains": {"/tags": "urg"}}, False),
    Row({"glob": {"/path": "src/*.py"}}, True),
    Row({"glob": {"/path": "src/????/a.py"}}, True),
    Row({"glob": {"/path": "*.p"}}, False),
    Row({"exists": "/none"}, True),
    Row({"exists": "/assignee"}, False),
    Row({"exists": ""}, True),
    Row({"and": [{"exists": "/n"}, {"kind": "created"}]}, True),
    Row({"and": [{"exists": "/n"}, {"kind": "deleted"}]}, False),
    Row({"or": [{"exists": "/x"}, {"kind": "created"}]}, True),
    Row({"or": [{"exists": "/x"}, {"kind": "deleted"}]}, False),
    Row({"not": {"eq": {"/absent": 1}}}, True),
    Row({"not": {"exists": "/n"}}, False),
]


@BOTH
async def test_each_filter_lets_through_what_it_matches(modern: bool, autojump_clock: MockClock) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, modern)
        rows = {f"f{number}": row for number, row in enumerate(FILTERS)}
        await one.ask(*(glob(label=label, filter=row.filter) for label, row in rows.items()))
        publish(app, "mail://a/1", "created", DATA)
        told = [each["label"] for each in changes(await one.rest())]
        assert told == [label for label, row in rows.items() if row.matches]
        # A change without data has nothing anywhere.
        publish(app, "mail://a/1", "changed")
        told = [each["label"] for each in changes(await one.rest())]
        without = [label for label, row in rows.items() if "not" in row.filter]
        assert told == without


async def test_a_filter_judges_data_as_json_whatever_is_told_of_it(autojump_clock: MockClock) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, True)
        day = {"eq": {"/day": "2026-11-20T00:00:00Z"}}
        await one.ask(
            glob(label="day", filter=day),
            glob(label="nan", filter={"eq": {"/nan": None}}),
            glob(label="list", filter={"eq": {"/items": [1, 2]}}, fields="metadata"),
        )
        data = {"day": datetime(2026, 11, 20, tzinfo=UTC), "nan": float("nan"), "items": (1, 2)}
        publish(app, "mail://a/1", data=data)
        assert [each["label"] for each in changes(await one.rest())] == ["day", "nan", "list"]


INVALID: list[tuple[Json, str]] = [
    ({}, ""),
    ({"eq": {"/a": 1}, "kind": "x"}, ""),
    ({"regex": {"/a": "(a+)+"}}, ""),
    ({"eq": 3}, ".eq"),
    ({"eq": {}}, ".eq"),
    ({"eq": {"/a": 1, "/b": 2}}, ".eq"),
    ({"eq": {"a": 1}}, ".eq"),
    ({"and": []}, ".and"),
    ({"and": [{"kind": "x"}, {"eq": 3}]}, ".and[1].eq"),
    ({"or": {"kind": "x"}}, ".or"),
    ({"not": [{"kind": "x"}]}, ".not"),
    ({"kind": []}, ".kind"),
    ({"kind": ["a", 7]}, ".kind"),
    ({"kind": ["a"] * 257}, ".kind"),
    ({"in": {"/a": "abc"}}, ".in"),
    ({"in": {"/a": list(range(257))}}, ".in"),
    ({"lt": {"/a": True}}, ".lt"),
    ({"prefix": {"/a": 1}}, ".prefix"),
    ({"prefix": {"/a": "x" * 1025}}, ".prefix"),
    ({"glob": {"/a": ["*"]}}, ".glob"),
    ({"exists": 7}, ".exists"),
    ({"or": [{"kind": "x"}] * 64}, ""),
    ({"not": {"not": {"not": {"not": {"not": {"not": {"not": {"not": {"kind": "x"}}}}}}}}}, ""),
    ({"in": {"/a": ["x" * 1000] * 17}}, ""),
    ({"eq": {"/a": [[[[[[[[[1]]]]]]]]]}}, ".eq"),
]


@BOTH
async def test_what_is_no_filter_is_refused_with_the_place_of_the_fault(
    modern: bool, autojump_clock: MockClock
) -> None:
    where = "notifications.io.mcptrio/subscriptions[1]" if modern else "_meta.io.mcptrio/subscriptions"
    app = house()
    async with living(app) as home:
        one = await client(home, modern)
        for filter, part in INVALID:
            before = [glob(label="sound")] if modern else []
            code, message, _ = await one.refused(*before, glob(label="broken", filter=filter))
            assert code == -32602
            assert message.startswith(f"Invalid params: {where}.filter{part}"), (filter, message)
        assert len(app.hub.selections) == 0


@BOTH
async def test_the_largest_filters_there_may_be_are_taken(modern: bool, autojump_clock: MockClock) -> None:
    deep: Json = {"kind": "created"}
    for _ in range(7):
        deep = {"not": deep}
    largest: list[Json] = [
        deep,
        {"or": [{"kind": "created"}] * 63},
        {"in": {"/a": ["x"] * 255 + [DATA["n"]]}},
        {"kind": ["x" * 1024] * 15},
        {"eq": {"/a": [[[[[[[1]]]]]]]}},
    ]
    async with living(house()) as home:
        one = await client(home, modern)
        asked = [glob(label=str(number), filter=filter) for number, filter in enumerate(largest)]
        assert [each["filter"] for each in await one.ask(*asked)] == largest


METADATA: Json = {"version": "3", "size": 512, "author": "ada", "tags": ["urgent"]}
TOLD: list[tuple[object, Json]] = [
    (None, {}),
    ("none", {}),
    ("metadata", {"metadata": METADATA}),
    ("all", {"data": DATA, "metadata": METADATA}),
    (
        ["/status", "/tags/0", "/absent", "/a~1b"],
        {
            "data": {"/status": "open", "/tags/0": "urgent", "/a~1b": {"c~d": [10, 20]}},
            "metadata": METADATA,
        },
    ),
    (["/absent"], {"data": {}, "metadata": METADATA}),
    ([""], {"data": {"": DATA}, "metadata": METADATA}),
    ([f"/x{number}" for number in range(63)] + ["/n"], {"data": {"/n": 3}, "metadata": METADATA}),
]


@BOTH
async def test_fields_say_what_of_data_and_metadata_is_told(modern: bool, autojump_clock: MockClock) -> None:
    app = house()
    at = datetime(2026, 1, 2, 3, 4, 5, 6789, tzinfo=timezone(timedelta(hours=2)))
    async with living(app) as home:
        one = await client(home, modern)
        labels = {f"f{number}": row for number, row in enumerate(TOLD)}
        await one.ask(*(glob(label=label, fields=fields) for label, (fields, _) in labels.items()))
        offset = publish(app, "mail://a/1", "moved", DATA, metadata=METADATA, event_id="e1", at=at)
        told = await one.rest()
        assert told == [
            one.updated(
                "mail://a/1",
                {
                    "label": label,
                    "kind": "moved",
                    "offset": offset,
                    "prev": 0,
                    "at": "2026-01-02T01:04:05.006Z",
                    "eventId": "e1",
                    **members,
                },
            )
            for label, (_, members) in labels.items()
        ]
        publish(app, "mail://a/1", metadata={"version": "4"})
        for change in changes(await one.rest()):
            assert "data" not in change and "eventId" not in change
            assert change["prev"] == offset


LARGE = "x" * 1_000_001


@BOTH
async def test_what_is_more_than_a_million_bytes_is_left_out_and_what_is_told_is_less_than_a_mebibyte(
    modern: bool, autojump_clock: MockClock
) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, modern)
        assert one.wire.connection._max_message_size == 1024 * 1024
        asked = {"all": "all", "part": ["/n"], "metadata": "metadata", "none": "none", "large": ["/text"]}
        await one.ask(*(glob(label=label, fields=fields) for label, fields in asked.items()))
        publish(app, "mail://a/1", data={"n": 1, "text": LARGE}, metadata={"a": 1})
        told = {each["label"]: each for each in changes(await one.rest())}
        assert told["all"]["omitted"] is told["large"]["omitted"] is True
        assert not {"data", "metadata"} & {*told["all"], *told["large"]}
        assert (told["part"]["data"], told["part"]["metadata"]) == ({"/n": 1}, {"a": 1})
        assert told["metadata"]["metadata"] == {"a": 1}
        assert not any("omitted" in told[label] for label in ("part", "metadata", "none"))
        # One byte less is told: quotes count.
        publish(app, "mail://a/2", data=LARGE[:-3])
        (change,) = [each for each in changes(await one.rest()) if each["label"] == "all"]
        assert len(str(change["data"])) == 1_000_000 - 2


@BOTH
async def test_what_has_no_form_on_the_wire_reaches_nobody_and_closes_nothing(
    modern: bool, autojump_clock: MockClock
) -> None:
    """All are told by one task: what one source reports must not end everybody's connections, now nor by replays."""
    app = house()
    half = "\ud800"
    tomorrow = timezone(timedelta(hours=-14))
    odd: list[Json] = [
        {"kind": half},
        {"event_id": f"<{half}@x>"},
        {"data": {"a": half}},
        {"data": object()},
        {"data": 1 << 100},
        {"metadata": {half: half}},
        {"at": datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))},
        {"at": datetime.max.replace(tzinfo=tomorrow)},
    ]
    async with living(app) as home:
        one = await client(home, modern)
        (honoured,) = await one.ask(glob(fields="all", policy="every"))
        for number, members in enumerate(odd):
            publish(app, f"mail://a/{number}", **members)  # type: ignore[arg-type]
        told = await one.rest()
        assert [update(each)[0] for each in told] == [f"mail://a/{number}" for number in range(len(odd))]
        assert (changes(told)[0]["kind"], changes(told)[1]["eventId"]) == ("?", "<?@x>")
        again = await client(home, modern)
        (honoured,) = await again.ask(glob(fields="all", policy="every", since=honoured["cursor"]))
        assert honoured["recovered"] is True
        assert changes(await again.rest()) == changes(told)


@BOTH
async def test_who_is_subscribed_plainly_too_is_told_plainly_too(
    modern: bool, autojump_clock: MockClock
) -> None:
    app = house()
    uri = "mail://a/1"
    async with living(app) as home:
        one = await client(home, modern)
        if modern:
            await one.ask({"label": "x", "uri": uri})
            await one.wire.listen("plain", uri)
        else:
            await one.wire.subscribe(uri)
            await one.ask({"label": "x", "uri": uri})
        app.hub.publish(Change(uri=uri, kind="created", data={"n": 1}))
        told = await one.rest()
        metas = [each["params"].get("_meta", {}) for each in told]  # type: ignore[attr-defined]
        with_change = ["io.mcptrio/change" in meta for meta in metas]
        assert sorted(with_change) == [False, True]
        plain = told[with_change.index(False)]
        expected = {"io.modelcontextprotocol/subscriptionId": "plain"} if modern else None
        assert plain["params"] == {"uri": uri} | ({} if expected is None else {"_meta": expected})


@pytest.mark.parametrize("kind", ["created", "updated", "deleted", "renamed", "", "gap"])
async def test_any_kind_that_a_source_reports_is_told(kind: str, autojump_clock: MockClock) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, True)
        await one.ask(glob())
        publish(app, "mail://a/1", kind)
        (change,) = changes(await one.rest())
        assert change["kind"] == kind and "reason" not in change
