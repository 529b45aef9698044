"""The receiver over a real WebSocket in memory, in virtual time."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
import trio
import trio.testing

from mcptrio.catalog import Catalog, ResourceNotFound
from mcptrio.live import SourceState
from mcptrio.sources import Registry
from mcptrio.sources.secret import SecretMissing
from mcptrio.sources.websocket import Counts, Receiver, install, receiver
from tests.sources.websocket.service import SHOWN, Bench, Serve, WebSocket, event, made, talking

MockClock = trio.testing.MockClock
LIVE = (SourceState.LIVE, "")


def _sending(*messages: str | bytes, then: float = 1000.0) -> Serve:
    async def talk(ws: WebSocket) -> None:
        for message in messages:
            await ws.send_message(message)
        await trio.sleep(then)

    return talking(talk)


async def test_events_are_reported_and_can_be_read(autojump_clock: MockClock) -> None:
    bench = Bench(
        _sending(event(1, text="a"), event(2, text="b"), event(3, "sea side"), event(4, type="closed"))
    )
    await bench.run(5)
    assert bench.reported() == [
        ("created", "chat://town/last"),
        ("updated", "chat://town/last"),
        ("created", "chat://sea%20side/last"),
        ("deleted", "chat://town/last"),
    ]
    assert bench.states == [LIVE]
    read = await bench.receiver.read("chat://sea%20side/last")
    assert isinstance(read.text, str)
    assert json.loads(read.text) == {"channel": "sea side"}
    with pytest.raises(ResourceNotFound):
        await bench.receiver.read("chat://town/last")
    [listed] = await bench.receiver.list_of("chat://{channel}/last")
    assert (listed.uri, listed.name, listed.size) == ("chat://sea%20side/last", "sea side", len(read.text))
    assert listed.annotations
    assert listed.annotations == read.annotations


async def test_who_is_told_of_a_change_reads_it(autojump_clock: MockClock) -> None:
    bench = Bench(_sending(*(event(number, text=number) for number in range(50))), capacity=0)
    async with trio.open_nursery() as nursery:
        await nursery.start(bench.service.run)
        nursery.start_soon(bench.receiver.run, bench.feed)
        for number in range(50):
            change = await bench.receive.receive()
            read = await bench.receiver.read(change.uri)
            assert isinstance(read.text, str)
            assert json.loads(read.text)["text"] == number, "what is read is what it was told of"
            assert change.data == json.loads(read.text)
            assert change.event_id == str(number)
        nursery.cancel_scope.cancel()


async def test_first_messages_headers_and_subprotocols_reach_the_service(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAT_TOKEN", "hush")
    seen: list[object] = []

    async def talk(ws: WebSocket) -> None:
        seen.append((ws.path, ws.subprotocol))
        for _ in range(3):
            seen.append(await ws.get_message())
        await trio.sleep(100)

    bench = Bench(
        talking(talk),
        subprotocols=["chat.v2"],
        first=["hello", {"action": "auth", "data": {"token": {"env": "CHAT_TOKEN"}}}, {"env": "CHAT_TOKEN"}],
    )
    await bench.run(5)
    assert seen == [
        ("/events?token=hush", "chat.v2"),
        "hello",
        '{"action":"auth","data":{"token":"hush"}}',
        "hush",
    ]
    assert bench.states == [LIVE]


async def test_an_event_that_comes_again_over_connections_is_announced_once(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(_sending(*(event(number, f"c{number}") for number in range(5)), then=0))
    await bench.run(100)
    assert len(bench.service.times) > 3
    assert bench.reported() == [("created", f"chat://c{number}/last") for number in range(5)]
    counts = bench.receiver.counts()
    assert counts.taken == 5
    assert counts.repeated == 5 * (len(bench.service.times) - 1)


async def test_a_clean_close_is_no_hot_loop_and_said(autojump_clock: MockClock) -> None:
    bench = Bench(_sending(then=0))
    await bench.run(1000)
    times = bench.service.times
    assert 10 < len(times) < 100
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert max(pauses) > 10, "they grow"
    assert max(pauses) <= 61
    assert bench.states[1] == (SourceState.DEGRADED, f"{SHOWN} closed the connection with 1000 (normal)")


async def test_after_a_good_while_it_is_soon_back(autojump_clock: MockClock) -> None:
    bench = Bench(_sending(then=0))
    await bench.run(500)
    bench.service.serve = _sending(then=100)
    await bench.run(1000)
    pauses = [later - earlier for earlier, later in pairwise(bench.service.times)]
    assert all(100 <= pause <= 103 for pause in pauses[-5:])


async def test_what_cannot_be_used_stops_nothing_and_is_counted(autojump_clock: MockClock) -> None:
    bench = Bench(
        _sending(
            "{",
            "[]",
            "7",
            '"posted"',
            b"\x00\x01",
            '{"event": "typing", "seq": 1}',
            '{"event": "posted", "data": {"channel": "x"}}',
            '{"event": "posted", "seq": 2, "data": {}}',
            '{"event": "posted", "seq": 3, "data": {"channel": {}}}',
            '{"event": "posted", "seq": 4, "data": {"channel": ""}}',
            '{"event": "posted", "seq": "' + "9" * 2000 + '", "data": {"channel": "x"}}',
            '{"event": "posted", "seq": 5, "data": {"channel": "' + "x" * 3000 + '"}}',
            "[" * 100_000,
            '{"event": true, "seq": 9}',
            event(6),
        )
    )
    await bench.run(5)
    assert bench.reported() == [("created", "chat://town/last")]
    assert bench.states == [LIVE], "eight in all are not many"
    assert bench.receiver.counts() == Counts(
        messages=15, taken=1, repeated=0, unknown=5, unusable=8, binary=1, evicted=0
    )


async def test_many_that_cannot_be_used_degrade_it_and_good_ones_mend_it(autojump_clock: MockClock) -> None:
    gate = trio.Event()

    async def talk(ws: WebSocket) -> None:
        for _ in range(12):
            await ws.send_message("{")
        await gate.wait()
        for number in range(100):
            await ws.send_message(event(number))
        await trio.sleep(100)

    bench = Bench(talking(talk))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.run, 20)
        await trio.sleep(5)
        state, why = bench.states[-1]
        assert state is SourceState.DEGRADED
        assert why.startswith(
            f"{SHOWN}: at least 10 of the last 100 messages could not be used, such as one that is no JSON"
        )
        assert bench.feed.as_of is None, "what it has is as it should be"
        gate.set()
    assert bench.states[-1] == LIVE
    assert bench.states[0] == LIVE


async def test_messages_that_cannot_be_used_are_not_a_state_each(autojump_clock: MockClock) -> None:
    bench = Bench(_sending(*(" " * number + "?" for number in range(250))))
    await bench.run(5)
    said = [why for state, why in bench.states if state is SourceState.DEGRADED and "could not" in why]
    assert 1 <= len(said) <= 3


async def test_resources_are_bounded_and_eviction_is_told(autojump_clock: MockClock) -> None:
    bench = Bench(_sending(event(1, "a"), event(2, "b"), event(3, "a"), event(4, "c")), keep=2)
    await bench.run(5)
    assert bench.reported() == [
        ("created", "chat://a/last"),
        ("created", "chat://b/last"),
        ("updated", "chat://a/last"),
        ("created", "chat://c/last"),
        ("deleted", "chat://b/last"),
    ]
    listed = await bench.receiver.list_of("chat://{channel}/last")
    assert [each.name for each in listed] == ["c", "a"]
    assert bench.receiver.counts().evicted == 1


async def test_big_messages_are_read_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver, "BIG", 10)
    bench = Bench(_sending("{" * 20, event(1), event(2, "sea")))
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            await nursery.start(bench.service.run)
            nursery.start_soon(bench.receiver.run, bench.feed)
            assert (await bench.receive.receive()).uri == "chat://town/last"
            assert (await bench.receive.receive()).uri == "chat://sea/last"
            nursery.cancel_scope.cancel()
    assert bench.receiver.counts().unusable == 1


async def test_a_message_cut_while_it_is_read_is_taken_by_the_next_task(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "BIG", 10)
    bench = Bench(_sending(event(1)))
    bench.receiver._thread.acquire_on_behalf_of_nowait("somebody else")
    await bench.run(5)
    assert bench.reported() == []
    bench.receiver._thread.release_on_behalf_of("somebody else")
    bench.service.serve = _sending()
    monkeypatch.setattr(receiver, "BIG", 1000)
    await bench.run(5)
    assert bench.reported() == [("created", "chat://town/last")]


async def test_a_task_cut_while_it_reports_goes_on_from_there(autojump_clock: MockClock) -> None:
    bench = Bench(_sending(*(event(number, f"c{number}") for number in range(8))), capacity=1)
    arrived = []
    for _ in range(20):
        await bench.run(0.5)
        arrived += bench.reported()
    assert arrived == [("created", f"chat://c{number}/last") for number in range(8)]


async def test_the_service_is_told_goodbye(autojump_clock: MockClock) -> None:
    codes: list[int | None] = []

    async def talk(ws: WebSocket) -> None:
        try:
            await ws.get_message()
        finally:
            codes.append(None if ws.closed is None else ws.closed.code)

    bench = Bench(talking(talk))
    started = trio.current_time()
    await bench.run(5)
    assert codes == [1000]
    assert trio.current_time() - started == pytest.approx(5)


async def test_a_route_for_all_others_takes_them(autojump_clock: MockClock) -> None:
    bench = Bench(
        _sending(event(1), event(2, type="joined"), '{"seq": 3, "data": 1}'),
        route=[
            {"type": "posted", "uri": "chat://posts", "change": "updated"},
            {"uri": "chat://rest", "data": ""},
        ],
    )
    await bench.run(5)
    assert bench.reported() == [
        ("updated", "chat://posts"),
        ("created", "chat://rest"),
        ("updated", "chat://rest"),
    ]
    read = await bench.receiver.read("chat://rest")
    assert read.text == '{"seq":3,"data":1}'


def test_installing_offers_templates_resources_and_a_task() -> None:
    registry = Registry(Catalog())
    install(registry, made(route=[*_routes(), {"uri": "chat://rest"}], linger="5m"))
    [template] = registry.catalog.templates()
    assert (template.uri_template, template.name) == ("chat://{channel}/last", "chat/posted")
    assert registry.catalog.could_serve("chat://rest")
    assert registry.catalog.could_serve("chat://town/last")
    [spec] = registry.sources()
    assert (spec.name, spec.patterns, spec.always, spec.linger) == (
        "chat",
        ("chat://{channel}/last", "chat://rest"),
        False,
        300,
    )


def _routes() -> list[object]:
    return [
        {"type": "posted", "uri": "chat://{channel}/last", "values": {"channel": "/data/channel"}},
        {"type": "edited", "uri": "chat://{channel}/last", "values": {"channel": "/data/channel"}},
    ]


def test_installing_without_a_secret_that_is_needed_fails_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CHAT_TOKEN", raising=False)
    for settings in (
        {"headers": {"X-Key": {"env": "CHAT_TOKEN"}}},
        {"first": [{"a": [{"env": "CHAT_TOKEN"}]}]},
    ):
        registry = Registry(Catalog())
        with pytest.raises(SecretMissing, match="CHAT_TOKEN"):
            install(registry, made(**settings))
        assert registry.sources() == ()


async def test_reading_and_listing_are_checkpoints(autojump_clock: MockClock) -> None:
    bench = Bench(_sending(event(1)))
    await bench.run(5)
    with trio.testing.assert_checkpoints():
        await bench.receiver.read("chat://town/last")
    with trio.testing.assert_checkpoints():
        await bench.receiver.list_of("chat://{channel}/last")


def test_a_receiver_needs_no_trio_to_be_made() -> None:
    assert Receiver(made()).counts().messages == 0
