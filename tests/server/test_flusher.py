"""A slow reader: its outbox conflates, the flusher never waits for it, and it is told the last change in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import trio
import trio.testing

from mcptrio import App, Context, Limits, ServerSettings
from mcptrio.live import Hub, Outbox
from mcptrio.server.flusher import BATCH, Flusher
from mcptrio.server.subscriber import Listen, Session, Subscriber
from tests.server.rig import House, Json, Wire, request, running, updated

URIS = [f"a:{number:04}{'x' * 100}" for number in range(40)]
SETTINGS = ServerSettings(limits=replace(Limits(), high_water=2_000, max_pending=100_000))
BOTH = pytest.mark.parametrize("modern", [False, True], ids=["2025-11-25", "2026-07-28"])


def house(settings: ServerSettings = SETTINGS) -> App:
    app = App("house", settings=settings)
    app.catalog.add_pattern("a:{id}")

    @app.tool
    async def much(size: int) -> str:
        return "x" * size

    return app


async def subscriber(home: House, modern: bool = False, *, capacity: int = 65_536) -> Wire:
    wire = await home.connect(capacity=capacity, initialized=not modern)
    if modern:
        await wire.listen("l", *URIS)
    else:
        await wire.subscribe(*URIS)
    return wire


def outbox_of(wire: Wire) -> Outbox:
    """The only subscriber's outbox of a connection."""
    if wire.peer.session is not None:
        return wire.peer.session.outbox
    (listen,) = wire.peer.listens.values()
    return listen.outbox


async def publish(home: House, rounds: int, uris: list[str] = URIS) -> None:
    for _ in range(rounds):
        for uri in uris:
            home.app.updated_nowait(uri)
        await trio.testing.wait_all_tasks_blocked()


@BOTH
async def test_who_does_not_read_is_owed_each_uri_once_and_gets_it_when_it_reads_again(modern: bool) -> None:
    async with running(house()) as home:
        slow = await subscriber(home, modern, capacity=1024)
        await publish(home, 50)
        high_water = SETTINGS.limits.high_water
        frame = 300
        assert high_water <= slow.peer.wire.pending_bytes < high_water + BATCH * frame
        assert len(outbox_of(slow)) <= len(URIS)
        assert outbox_of(slow).statistics().conflated > 0
        assert home.app.server.flusher.statistics().current_buffer_used == 0  # parked, not spinning

        before = trio.current_time()
        messages = await slow.rest()
        assert trio.current_time() - before < 1.0
        tag = "l" if modern else None
        # Everything that was owed comes, far fewer than were published, and each URI again after its last change.
        assert {str(each["params"]) for each in messages} == {
            str(updated(uri, tag)["params"]) for uri in URIS
        }
        assert len(messages) < 50 * len(URIS) / 5
        assert len(outbox_of(slow)) == 0
        home.app.updated_nowait(URIS[3])
        assert await slow.rest() == [updated(URIS[3], tag)]


@BOTH
async def test_the_last_change_is_told_after_the_reader_comes_back(modern: bool) -> None:
    async with running(house()) as home:
        slow = await subscriber(home, modern, capacity=512)
        await publish(home, 10)
        home.app.updated_nowait(URIS[-1])  # merged with what is pending, behind all that was sent
        pending = len(outbox_of(slow))
        assert pending > 0
        messages = await slow.rest()
        last = updated(URIS[-1], "l" if modern else None)
        assert last in messages[-pending:]


async def test_a_slow_reader_delays_nobody() -> None:
    async with running(house()) as home:
        slow = await subscriber(home, capacity=512)
        fast = await subscriber(home)
        for _ in range(20):
            for uri in URIS:
                home.app.updated_nowait(uri)
            before = trio.current_time()
            assert await fast.rest(0.1) == [updated(uri) for uri in URIS]
            assert trio.current_time() - before == pytest.approx(0.1)
            assert await fast.result("ping") == {}
        assert slow.peer.is_behind()


async def test_an_answer_to_a_reader_that_is_behind_waits_and_then_comes() -> None:
    async with running(house()) as home:
        slow = await subscriber(home, capacity=512)
        await publish(home, 5)
        await slow.send(request("big", "tools/call", {"name": "much", "arguments": {"size": 10_000}}))
        await trio.testing.wait_all_tasks_blocked()
        assert len(slow.peer.requests) == 1
        answers = [message for message in await slow.rest() if message.get("id") == "big"]
        assert len(answers) == 1
        assert slow.peer.requests == {}


async def test_progress_waits_for_a_reader_that_is_behind() -> None:
    app = house()
    reported = 0

    @app.tool
    async def chatty(context: Context) -> str:
        nonlocal reported
        for number in range(200):
            await context.progress(number, message="x" * 200)
            reported += 1
        return "done"

    async with running(app) as home:
        slow = await home.connect(capacity=512, initialized=True)
        params: Json = {"name": "chatty", "_meta": {"progressToken": 1}}
        await slow.send(request(1, "tools/call", params))
        await trio.testing.wait_all_tasks_blocked()
        assert 0 < reported < 50
        assert slow.peer.wire.pending_bytes < SETTINGS.limits.high_water + 1000
        messages = await slow.rest()
        assert len(messages) == 201
        assert messages[-1]["id"] == 1


async def test_a_slow_reader_that_vanishes_leaves_nothing() -> None:
    async with running(house()) as home:
        slow = await subscriber(home, capacity=512)
        await publish(home, 5)
        slow.vanish()
        await publish(home, 2)
        assert home.app.hub.subscriptions() == {}
        assert home.app.server.flusher.statistics().current_buffer_used == 0


async def test_unsubscribing_while_behind_forgets_what_is_pending() -> None:
    async with running(house()) as home:
        slow = await subscriber(home, capacity=512)
        await publish(home, 5)
        pending = len(outbox_of(slow))
        assert pending > 0
        for number, uri in enumerate(URIS):
            await slow.send_at_once(request(number, "resources/unsubscribe", {"uri": uri}))
        await trio.testing.wait_all_tasks_blocked()
        assert len(outbox_of(slow)) == 0
        messages = await slow.rest()
        answered: set[object] = set()
        for message in messages:
            if "id" in message:
                answered.add(URIS[int(str(message["id"]))])
            else:
                assert _uri(message) not in answered, "nothing follows the answer to an unsubscribe"
        assert answered == set(URIS)


def _uri(message: Json) -> object:
    params = message["params"]
    assert isinstance(params, dict)
    return params["uri"]


@pytest.mark.parametrize(
    ("heartbeat", "end"),
    [(1000.0, (1008, "stalled")), (30.0, (1011, "ping timeout"))],
    ids=["stalled", "silent"],
)
async def test_who_reads_nothing_for_too_long_is_closed_and_everybody_else_served(
    heartbeat: float, end: tuple[int, str]
) -> None:
    limits = replace(SETTINGS.limits, heartbeat=heartbeat)
    async with running(house(ServerSettings(limits=limits))) as home:
        slow = await subscriber(home, capacity=512)
        fast = await subscriber(home)
        await publish(home, 3)
        await fast.rest()
        await trio.sleep(SETTINGS.limits.stall_timeout + 3)
        assert slow.peer not in home.app.server.endpoints[0].peers.values()
        assert (slow.peer.wire.close_code, slow.peer.wire.close_reason) == end  # type: ignore[attr-defined]
        assert home.app.hub.statistics().subscriptions == len(URIS)
        assert await fast.result("ping") == {}


async def test_a_drain_is_not_held_up_by_a_slow_reader() -> None:
    async with running(house()) as home:
        slow = await subscriber(home, modern=True, capacity=512)
        await publish(home, 3)
        before = trio.current_time()
        await home.app.server.endpoints[0].drain()
        assert trio.current_time() - before <= home.app.settings.drain_timeout
        await trio.testing.wait_all_tasks_blocked()
        assert home.app.server.endpoints[0].peers == {}
        assert slow.peer.listens == {}


async def test_a_flood_of_changes_lets_requests_through() -> None:
    async with running(house()) as home:
        wire = await subscriber(home)
        for uri in URIS * 5:
            home.app.updated_nowait(uri)
        for number in range(5):
            await wire.send(request(number, "ping"))
        messages = await wire.rest()
        assert [message["id"] for message in messages if "id" in message] == list(range(5))


class Gathering:
    """A recipient that takes everything, or is behind."""

    def __init__(self) -> None:
        self.behind = False
        self.frames: list[bytes] = []
        self.parked: list[object] = []

    def is_behind(self) -> bool:
        return self.behind

    def park(self, resume: object) -> None:
        self.parked.append(resume)

    frame = staticmethod(bytes)

    def push_frames(self, frames: Sequence[bytes]) -> None:
        self.frames.append(frames[0] if len(frames) == 1 else b"".join(frames))


class Plain(Subscriber):
    """Encodes a key as itself."""

    __slots__ = ()

    def encode(self, key: object) -> bytes:
        return str(key).encode()


async def test_a_turn_is_bounded_and_the_rest_gets_another() -> None:
    flusher = Flusher(Hub())
    recipient = Gathering()
    subscriber = Plain(recipient, flusher.ready)
    for number in range(BATCH * 2 + 1):
        subscriber.outbox.send_nowait(f"a:{number}")
    assert [flusher.flush(subscriber) for _ in range(4)] == [BATCH, BATCH, 1, 0]
    assert len(recipient.frames) == 3
    assert flusher.delivered == BATCH * 2 + 1


async def test_a_subscriber_waits_for_its_turn_at_most_once() -> None:
    flusher = Flusher(Hub())
    subscriber = Plain(Gathering(), flusher.ready)
    for _ in range(10):
        subscriber.outbox.send_nowait("a:1")
        subscriber.outbox.purge("a:1")
    assert flusher.statistics().current_buffer_used <= 1


async def test_a_subscriber_is_parked_at_most_once() -> None:
    flusher = Flusher(Hub())
    recipient = Gathering()
    recipient.behind = True
    subscriber = Plain(recipient, flusher.ready)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(flusher.run)
        for _ in range(10):
            subscriber.outbox.send_nowait("a:1")
            await trio.testing.wait_all_tasks_blocked()
            subscriber.outbox.purge("a:1")
        assert len(recipient.parked) <= 1
        nursery.cancel_scope.cancel()


async def test_equal_messages_are_encoded_once_and_the_cache_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mcptrio.server.frames._MOST", 10)
    flusher = Flusher(Hub())
    recipients = [Gathering(), Gathering()]
    subscribers = [Plain(recipient, flusher.ready) for recipient in recipients]
    for number in range(25):
        for subscriber in subscribers:
            subscriber.outbox.send_nowait(f"a:{number}")
            assert flusher.flush(subscriber) == 1
    assert recipients[0].frames == recipients[1].frames
    assert all(one is two for one, two in zip(recipients[0].frames, recipients[1].frames, strict=True))
    assert len(flusher.frames) <= 10


async def test_a_flusher_that_comes_back_sends_what_became_ready_meanwhile() -> None:
    flusher = Flusher(Hub())
    recipient = Gathering()
    subscriber = Plain(recipient, flusher.ready)
    subscriber.outbox.send_nowait("a:1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(flusher.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert len(recipient.frames) == 1
    subscriber.outbox.send_nowait("a:2")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(flusher.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert len(recipient.frames) == 2


async def _received(wire: Wire) -> Json:
    with trio.fail_after(60):
        return await wire.receive()


@BOTH
async def test_a_crash_in_encoding_for_one_closes_it_with_1011_and_the_others_are_told(
    modern: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(house()) as home:
        wires = [await subscriber(home, modern) for _ in range(3)]
        # Frames are shared by all who are told the same: what only this one is told, only this one can crash.
        victim = await home.connect(initialized=not modern)
        if modern:
            await victim.listen("v", "a:odd", URIS[0])
        else:
            await victim.subscribe("a:odd", URIS[0])
        owner = Listen if modern else Session
        plain = owner.encode

        def encode(self: Subscriber, key: object) -> bytes:
            if key == "a:odd":
                raise LookupError("injected")
            return plain(self, key)  # type: ignore[arg-type]

        monkeypatch.setattr(owner, "encode", encode)
        home.app.updated_nowait("a:odd")
        await publish(home, 1)
        for wire in wires:
            told = [await _received(wire) for _ in URIS]
            assert told == [updated(uri, "l" if modern else None) for uri in URIS]
        with trio.fail_after(60):
            assert await victim.closed() == (1011, "internal error")
        figures = await home.metrics()
        assert figures['mcptrio_restarts_total{supervisor="root"}'] == 0
    assert "a subscriber could not be told" in caplog.text


def test_a_bare_subscriber_encodes_nothing() -> None:
    with pytest.raises(AssertionError):
        Subscriber(Gathering(), Flusher(Hub()).ready).encode("a:1")
