"""Parts that crash: the supervisor brings them back, and what was due is delivered or reported."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from mcptrio import App
from mcptrio.live import Feed
from mcptrio.server.flusher import Flusher
from mcptrio.server.peer import Peer
from mcptrio.server.subscriber import Listen
from tests.adversary.world import HOT, listen, open_world, text
from tests.wire.rig import CLOSE, TEXT


def _once(plain: Callable[..., object], error: Exception) -> Callable[..., object]:
    """The function, but its first call fails."""
    calls = 0

    def failing(*args: object, **keywords: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise error
        return plain(*args, **keywords)

    return failing


def _crashed(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        str(record.__dict__.get("child"))
        for record in caplog.records
        if record.levelname in ("WARNING", "ERROR")
    ]


async def test_a_source_that_is_restarted_keeps_the_subscriptions(autojump_clock: MockClock) -> None:
    lives = 0

    def prepare(app: App) -> None:
        @app.source("mail://{x}")
        async def mail(feed: Feed) -> None:
            nonlocal lives
            lives += 1
            await trio.sleep(1)
            await feed.updated(f"mail://{lives}")
            raise LookupError("crash")

    async with open_world(sockets=False, prepare=prepare) as world:
        async with world.witness.subscribe("mail://1", "mail://2", "mail://3") as updates:
            for number in (1, 2, 3):
                assert (await anext(updates)).uri == f"mail://{number}"
            await world.witness_is_served()


@pytest.mark.parametrize("frames", [1, 5])
@pytest.mark.parametrize(("owner", "part"), [(Listen, "encode"), (Flusher, "flush"), (Peer, "push_frames")])
async def test_a_flusher_that_crashes_still_delivers_what_is_due_or_closes_with_1011(
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    owner: type,
    part: str,
    frames: int,
) -> None:
    async with open_world(sockets=False) as world:
        raw = await world.open()
        async with raw.stream:
            uris = [f"hot://f{number}" for number in range(frames)]
            await raw.send(text(listen("l", *uris)))
            await raw.message()
            monkeypatch.setattr(owner, part, _once(getattr(owner, part), LookupError("injected")))
            for uri in uris:
                world.app.updated_nowait(uri)
            told: set[object] = set()
            while told != set(uris):
                opcode, payload = await raw.frame()
                if opcode == CLOSE:  # that also tells: who connects again knows of the gap
                    assert payload.startswith((1011).to_bytes(2, "big")) and b"ping" not in payload, (
                        f"only {told} was told: {payload!r}"
                    )
                    break
                if opcode == TEXT:
                    told.add(json.loads(payload)["params"]["uri"])
            await world.witness_is_served()
    assert [record for record in caplog.records if record.exc_info], "it is reported"
    caplog.clear()


async def test_a_change_that_cannot_be_published_is_reported_and_the_next_ones_are_told(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def prepare(app: App) -> None:
        @app.source("mail://{x}")
        async def mail(feed: Feed) -> None:
            for number in range(3):
                await go[number].wait()
                await feed.updated(f"mail://{number}")
            await trio.sleep_forever()

    go = [trio.Event() for _ in range(3)]
    async with open_world(sockets=False, prepare=prepare) as world:
        monkeypatch.setattr(world.app.hub, "publish", _once(world.app.hub.publish, LookupError("injected")))
        async with world.witness.subscribe("mail://0", "mail://1", "mail://2") as updates:
            for event in go:
                event.set()
            with trio.fail_after(60):
                seen = {(await anext(updates)).uri for _ in range(2)}
            assert len(seen) == 2
            await world.witness_is_served()
    (error,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert error.getMessage().startswith("the pump set a change aside uri='mail://")
    caplog.clear()


async def test_list_changes_that_crash_still_tell_of_the_list(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world(sockets=False) as world:
        async with world.witness.list_changes() as changes:
            (subscriber,) = world.app.server.list_changes._watchers[
                next(iter(world.app.server.list_changes._watchers))
            ]
            outbox = subscriber.outbox
            plain = outbox.send_nowait
            failing = _once(plain, LookupError("injected"))

            class Brittle:
                send_nowait = staticmethod(failing)

            monkeypatch.setattr(subscriber, "outbox", Brittle())
            world.app.remove_tool("large")
            await trio.testing.wait_all_tasks_blocked()
            monkeypatch.setattr(subscriber, "outbox", outbox)
            with trio.fail_after(60):
                assert await anext(changes) == "tools"
        await world.witness_is_served()
    caplog.clear()


async def test_a_sweeper_that_crashes_keeps_watching(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world(sockets=False) as world:
        raw = await world.open()
        async with raw.stream:
            sweeper = world.app.server._sweeper

            class Broken(set):  # type: ignore[type-arg]
                def __iter__(self) -> object:  # type: ignore[override]
                    sweeper._watched = watched
                    raise LookupError("injected")

            watched = sweeper._watched
            sweeper._watched = Broken(watched)
            with trio.fail_after(90):
                assert (await raw.frame())[0] == 9
                assert await raw.close_code() == 1011
    assert "sweeper" in _crashed(caplog)
    caplog.clear()


async def test_a_connection_whose_part_has_a_bug_is_closed_alone(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world(sockets=False) as world:
        raw = await world.open()
        async with raw.stream:
            plain = world.app.server.dispatch.received
            monkeypatch.setattr(world.app.server.dispatch, "received", _once(plain, LookupError("injected")))
            for endpoint in world.app.server.endpoints:
                monkeypatch.setattr(endpoint, "_dispatch", world.app.server.dispatch)
            other = await world.open()
            async with other.stream:
                await other.send(text(listen(1, HOT)))
                assert await other.close_code() == 1011
            await raw.is_served()
            await world.witness_is_served()
    caplog.clear()
