"""2025-11-25 over HTTP: streams that break at any moment. A hole in what a client has read is never silent."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from random import Random

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from mcptrio import App, ServerSettings
from tests.extension.rig import OPENING, expect_no_selections, glob, house, publish, selecting, update
from tests.server.http.rig import Answer, HttpHouse, HttpSession, HttpWire, http
from tests.server.rig import Json, notification, request

pytestmark = pytest.mark.unmeasured

PROGRAMS = 25
LABELS: dict[str, Json] = {
    "every": glob(label="every", policy="every"),
    "conflate": glob(label="conflate"),
    "some": {"label": "some", "uri": "mail://a/1", "policy": "every"},
}


@dataclass
class Reader:
    """A client of one session, which loses its standing stream and comes back; and what it has read."""

    home: HttpHouse
    session: HttpSession
    seen: str | None = None
    last: dict[object, int] = field(default_factory=dict)
    """What was read last, by label."""
    gaps: int = 0
    came: int = 0
    holes: set[object] = field(default_factory=set)
    """Labels of which something was missing, and no gap has said so yet."""
    careful: bool = True
    """It has always said what it had seen."""
    stream: Answer | None = None
    wire: HttpWire | None = None

    async def come(self, last: str | None) -> None:
        self.careful &= last is not None or not self.came
        self.came += 1
        self.wire = await self.home.connect(capacity=3000)
        self.stream = await self.wire.request(
            "GET", mcp_session_id=self.session.id, last_event_id=last, content_type=None
        )
        assert self.stream.status == 200

    async def vanish(self) -> None:
        if self.wire is not None:
            await trio.aclose_forcefully(self.wire.stream)
        self.stream = self.wire = None
        await trio.testing.wait_all_tasks_blocked()

    async def read(self, most: int) -> None:
        with trio.move_on_after(0.5):
            while most and self.stream is not None:
                event = await self.stream.event()
                self.seen = event["id"]
                if '"notifications/resources/updated"' in event["data"]:
                    most -= 1
                    self._told(json.loads(event["data"]))

    def _told(self, message: Json) -> None:
        _, change = update(message)
        label, offset = change["label"], change["offset"]
        assert isinstance(offset, int)
        if "reason" in change:
            assert change["reason"] == "history"
            self.gaps += 1
            self.holes.discard(label)
        elif change["prev"] != self.last[label]:
            # What is still stored comes first, then the gap.
            assert self.last[label] < change["prev"] < offset, (self.last, change)  # type: ignore[operator]
            self.holes.add(label)
        self.last[label] = offset


async def opened(home: HttpHouse) -> Reader:
    answer = await (await home.connect()).post(request(0, "initialize", OPENING))
    session = HttpSession(home, answer.headers["mcp-session-id"])
    await answer.json()
    await session.post(notification("notifications/initialized"))
    reader = Reader(home, session)
    for label, asked in LABELS.items():
        told = await session.call(label, "resources/subscribe", selecting(asked))
        assert "result" in told
        reader.last[label] = home.app.hub.offset
    return reader


async def program(app: App, home: HttpHouse, chance: Random, stored: int) -> Reader:
    reader = await opened(home)
    for _ in range(chance.randrange(5, 25)):
        step = chance.choice(("publish", "publish", "read", "read", "vanish", "come", "wait"))
        if step == "publish":
            for _ in range(chance.choice((1, 3, 20))):
                publish(app, f"mail://a/{chance.randrange(3)}")
        elif step == "read":
            await reader.read(chance.randrange(1, 10))
        elif step == "vanish":
            await reader.vanish()
        elif step == "wait":
            await trio.testing.wait_all_tasks_blocked()
        elif reader.stream is None:
            await reader.come(reader.seen if chance.random() < 0.7 else None)
    if reader.stream is None:
        await reader.come(reader.seen)
    await reader.read(100_000)
    newest = app.hub.offset
    publish(app, "mail://a/1")
    await reader.read(100)
    assert set(reader.last.values()) == {newest + 1}, "all have got to where the server is"
    assert not reader.holes
    assert not (reader.careful and reader.gaps and stored >= 1000), "nothing was lost"
    await reader.vanish()
    await reader.session.delete()
    await trio.testing.wait_all_tasks_blocked()
    expect_no_selections(app)
    return reader


@pytest.mark.parametrize("stored", [2, 20, 1000])
@pytest.mark.parametrize("seed", range(4))
async def test_what_is_missing_behind_a_broken_stream_is_always_said(
    seed: int, stored: int, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trio._core._run, "_r", Random(seed))
    app = house(replace(ServerSettings(), stored_events=stored, introspection=False))
    chance = Random(seed)
    gaps = 0
    async with http(app) as home:
        for _ in range(PROGRAMS):
            gaps += (await program(app, home, chance, stored)).gaps
    assert gaps > 0
