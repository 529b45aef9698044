"""Coming back: what was missed is told in order and then what happens, nothing twice and nothing missing, or a gap says so."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from mcptrio import App
from mcptrio.live import allowance, history
from mcptrio.live.history import History
from mcptrio.supervision import Supervisor, supervisors
from tests.extension.judge import CALLED, SUBSCRIPTIONS
from tests.extension.rig import (
    BOTH,
    Client,
    changes,
    client,
    glob,
    house,
    living,
    offsets,
    place,
    publish,
    publish_while_subscribing,
    update,
)
from tests.server.rig import House, Json

URI = "mail://a/1"
SELECTORS: list[Json] = [
    {"uri": URI},
    {"template": "mail://a/{id}"},
    {"glob": "mail://a/*"},
]


async def cursor_now(home: House) -> str:
    """A cursor that a client was given now; the client has gone."""
    one = await client(home, True)
    (honoured,) = await one.ask(glob())
    one.wire.vanish()
    await trio.testing.wait_all_tasks_blocked()
    return str(honoured["cursor"])


def bounded(app: App, **bounds: float) -> None:
    """Give the hub a history that keeps less."""
    app.hub.selections.history = History("", **bounds)  # type: ignore[arg-type]


@BOTH
@pytest.mark.parametrize("selector", SELECTORS, ids=["uri", "template", "glob"])
async def test_what_a_uri_or_a_pattern_has_missed_is_told_in_order_with_its_data(
    selector: Json, modern: bool, autojump_clock: MockClock
) -> None:
    app = house()
    async with living(app) as home:
        since = await cursor_now(home)
        at = datetime(2026, 11, 20, tzinfo=UTC)
        missed = [publish(app, URI, data=number, at=at, event_id=f"e{number}") for number in range(10)]
        publish(app, "mail://b/1")
        one = await client(home, modern)
        asked: Json = {"label": "x", **selector, "policy": "every", "fields": "all", "since": since}
        (honoured,) = await one.ask(asked)
        assert (honoured["cursor"], honoured["recovered"]) == (since, True)
        told = changes(await one.rest())
        assert [(each["offset"], each["data"], each["eventId"], each["at"]) for each in told] == [
            (offset, number, f"e{number}", "2026-11-20T00:00:00.000Z") for number, offset in enumerate(missed)
        ]
        assert [each["prev"] for each in told] == [0, *missed[:-1]]
        new = publish(app, URI)
        assert offsets(await one.rest()) == [new]


@BOTH
async def test_a_whole_client_comes_back_each_subscription_from_its_own_cursor(
    modern: bool, autojump_clock: MockClock
) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, modern)
        begun = await one.ask(*(glob(label=label, policy="every") for label in "abc"))
        first = [publish(app, URI) for _ in range(3)]
        last = {each["label"]: each["offset"] for each in changes(await one.rest())}
        assert set(last.values()) == {first[-1]}
        one.wire.vanish()
        missed = [publish(app, f"mail://a/{number}") for number in range(5)]
        epoch = str(begun[0]["cursor"]).partition(".")[0]
        since = {"a": first[0], "b": first[-1], "c": missed[1]}
        again = await client(home, modern)
        asked = [glob(label=x, policy="every", since=f"{epoch}.{n}") for x, n in since.items()]
        asked.append(glob(label="new", policy="every"))
        honoured = await again.ask(*asked)
        assert [place(each["cursor"]) for each in honoured] == [*since.values(), missed[-1]]
        assert [each.get("recovered") for each in honoured] == [True, True, True, None]
        told = await again.rest()
        for label, offset in since.items():
            assert offsets(told, label) == [number for number in first + missed if number > offset]
        assert offsets(told, "new") == []


@BOTH
async def test_by_conflate_and_batch_what_was_missed_is_merged_to_the_newest_of_each_uri(
    modern: bool, autojump_clock: MockClock
) -> None:
    app = house()
    async with living(app) as home:
        since = await cursor_now(home)
        for number in range(40):
            publish(app, f"mail://a/{number % 4}", data=number)
        one = await client(home, modern)
        batch: Json = {"batch": {"windowMs": 100, "maxWaitMs": 100}}
        await one.ask(glob(label="c", fields="all", since=since), glob(label="b", policy=batch, since=since))
        told = await one.rest()
        assert offsets(told, "c") == offsets(told, "b") == [37, 38, 39, 40]


@BOTH
async def test_only_what_the_filter_matches_is_told_of_what_was_missed(
    modern: bool, autojump_clock: MockClock
) -> None:
    app = house()
    async with living(app) as home:
        since = await cursor_now(home)
        for number in range(600):
            publish(app, URI, data={"n": number})
        one = await client(home, modern)
        await one.ask(glob(policy="every", filter={"ge": {"/n": 590}}, since=since))
        assert offsets(await one.rest()) == list(range(591, 601))


@BOTH
async def test_changes_in_the_very_step_of_subscribing_are_told_once(
    modern: bool, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = house()
    async with living(app) as home:
        since = await cursor_now(home)
        for _ in range(300):
            publish(app, URI)
        one = await client(home, modern)
        publish_while_subscribing(app, URI, monkeypatch)
        (honoured,) = await one.ask(glob(policy="every", since=since))
        assert honoured["recovered"] is True
        publish(app, URI)
        assert offsets(await one.rest()) == list(range(1, 304))


@BOTH
async def test_while_what_was_missed_is_told_more_happens_and_is_told_in_its_place(
    modern: bool, autojump_clock: MockClock
) -> None:
    app = house()
    async with living(app) as home:
        since = await cursor_now(home)
        for _ in range(2000):
            publish(app, URI)
        one = await client(home, modern, capacity=2000)
        await one.ask(glob(policy="every", since=since))
        told: list[Json] = []
        for _ in range(50):
            for _ in range(20):
                told.append(await one.wire.receive())
            publish(app, URI)
        told += await one.rest()
        assert offsets(told) == list(range(1, 2051))


@BOTH
@pytest.mark.parametrize("bound", [{"most": 10}, {"most_bytes": 10_000}, {"max_age": 5.0}], ids=str)
async def test_what_is_not_kept_any_more_is_a_gap_that_comes_first(
    bound: dict[str, float], modern: bool, autojump_clock: MockClock
) -> None:
    app = house()
    bounded(app, **bound)
    async with living(app) as home:
        since = await cursor_now(home)
        for _ in range(30):
            publish(app, URI)
        await trio.sleep(6)
        one = await client(home, modern)
        (honoured,) = await one.ask(glob(policy="every", since=since))
        assert (honoured["cursor"], honoured["recovered"]) == (since, False)
        new = publish(app, URI)
        told = await one.rest()
        (uri, gap), *rest = [update(each) for each in told]
        assert uri == f"{CALLED}g"
        assert gap == {"label": "g", "kind": "gap", "offset": gap["offset"], "prev": 0, "reason": "history"}
        assert gap["offset"] > 0  # type: ignore[operator]
        assert [change["offset"] for _, change in rest] == list(range(int(str(gap["offset"])) + 1, new + 1))


async def test_who_cares_for_a_uri_that_has_not_changed_since_has_missed_nothing(
    autojump_clock: MockClock,
) -> None:
    app = house()
    bounded(app, most=10)
    async with living(app) as home:
        one = await client(home, True)
        (honoured,) = await one.ask(glob())
        last = publish(app, "mail://a/quiet")
        for _ in range(5):
            publish(app, URI)
        since = f"{str(honoured['cursor']).partition('.')[0]}.{last}"
        await one.end()
        for _ in range(12):
            publish(app, URI)
        quiet = {"label": "q", "uri": "mail://a/quiet", "since": since}
        told = await one.ask(quiet, {"label": "u", "uri": URI, "since": since}, glob(since=since))
        assert [each["recovered"] for each in told] == [True, False, False]
        messages = await one.rest()
        assert [each["label"] for each in changes(messages) if "reason" in each] == ["u", "g"]


@BOTH
async def test_the_uri_of_a_gap_is_the_exact_one_or_that_of_the_label(
    modern: bool, autojump_clock: MockClock
) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, modern)
        since = "0123456789abcdef.77"
        honoured = await one.ask({"label": "u", "uri": URI, "since": since}, glob(URI, "same", since=since))
        assert [(each["recovered"], each["cursor"]) for each in honoured] == [
            (False, f"{app.hub.epoch}.0")
        ] * 2
        gap: Json = {"kind": "gap", "offset": 0, "prev": 0, "reason": "restarted"}
        assert await one.rest() == [
            one.updated(URI, {"label": "u", **gap}),
            one.updated(f"{CALLED}same", {"label": "same", **gap}),
        ]


class Crash(Exception):
    pass


def part(app: App, name: str) -> Supervisor:
    return next(each for each in supervisors(app.server.root) if each.name == name)


@BOTH
async def test_after_the_hub_was_rebuilt_a_cursor_of_before_is_answered_with_a_gap(
    modern: bool, autojump_clock: MockClock
) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, modern)
        await one.ask(glob(policy="every"))
        for _ in range(50):
            publish(app, URI)
        since = f"{app.hub.epoch}.{changes(await one.rest())[-1]['offset']}"
        hub = part(app, "hub")
        while not app.server.rebuilt_total:
            if hub.is_running:
                hub.exit_child("pump", Crash())
            await trio.sleep(0.05)
        assert (await one.wire.closed())[0] == 1012
        await trio.sleep(5)
        again = await client(home, modern)
        (honoured,) = await again.ask(glob(policy="every", since=since))
        assert (honoured["recovered"], honoured["cursor"]) == (False, f"{app.hub.epoch}.0")
        offset = publish(app, URI)
        told = changes(await again.rest())
        assert [(each["kind"], each.get("reason"), each["offset"]) for each in told] == [
            ("gap", "restarted", 0),
            ("updated", None, offset),
        ]
        # What a client has told under the new numbers is not mixed up with what it was told under the old ones.
        third = Client(again.wire, modern, "third")
        (honoured,) = await third.ask(glob(label="third", policy="every", since=f"{app.hub.epoch}.0"))
        assert honoured["recovered"] is True
        assert offsets(await again.rest(), "third") == [offset]


async def test_in_another_run_of_the_app_what_was_kept_is_forgotten_and_that_is_said(
    autojump_clock: MockClock,
) -> None:
    app = house()
    async with living(app) as home:
        since = await cursor_now(home)
        last = publish(app, URI)
    async with living(app) as home:
        one = await client(home, True)
        newest = f"{since.partition('.')[0]}.{last}"
        honoured = await one.ask(glob(since=since), glob(label="newest", since=newest))
        recovered = {each["label"]: each["recovered"] for each in honoured}
        assert recovered["g"] is False
        offset = publish(app, URI)
        told = changes(await one.rest())
        assert [each["kind"] for each in told if each["label"] == "g"] == ["gap", "updated"]
        assert [each["offset"] for each in told if each["label"] == "newest"][-1] == offset


@BOTH
async def test_a_cursor_that_was_not_given_out_yet_is_refused_and_nothing_has_begun(
    modern: bool, autojump_clock: MockClock
) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, modern)
        for number in (1, 2**31, 2**63, 10**18 - 1):
            before = [glob(label="sound")] if modern else []
            code, message, _ = await one.refused(*before, glob(since=f"{app.hub.epoch}.{number}"))
            where = f"notifications.{SUBSCRIPTIONS}[1]" if modern else f"_meta.{SUBSCRIPTIONS}"
            assert code == -32602
            assert message.startswith(
                f"Invalid params: {where}.since: '{app.hub.epoch}.{number}' is no cursor"
            )
        assert len(app.hub.selections) == 0 and one.wire.peer.listens == {}


@BOTH
async def test_a_replay_that_fills_half_of_what_may_wait_goes_on_when_there_is_room(
    modern: bool, autojump_clock: MockClock
) -> None:
    app = house()
    async with living(app) as home:
        since = await cursor_now(home)
        for number in range(history.MOST):
            publish(app, URI, data=number)
        assert history.MOST > allowance.MOST // 2
        one = await client(home, modern, capacity=4000)
        await one.ask(glob(policy="every", since=since))
        await trio.testing.wait_all_tasks_blocked()
        assert one.wire.peer.allowance is not None
        assert one.wire.peer.allowance.count <= allowance.MOST // 2 + 256
        assert offsets(await one.rest()) == list(range(1, history.MOST + 1))


async def test_a_replay_that_waits_for_room_goes_on_when_another_subscription_is_replaced(
    autojump_clock: MockClock,
) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, False)
        waits: Json = {"batch": {"windowMs": 60_000, "maxWaitMs": 600_000}}
        await one.ask(glob("note:*", "fills", policy=waits))
        since = f"{app.hub.epoch}.0"
        missed = publish(app, URI)
        for number in range(allowance.MOST // 2 + 1):
            publish(app, f"note:{number}")
        await one.ask({"label": "r", "uri": URI, "policy": "every", "since": since})
        assert offsets(await one.rest()) == []  # half of what may wait does wait
        await one.ask({"label": "fills", "uri": "mail://b/1"})
        assert offsets(await one.rest()) == [missed]
