"""2025-11-25 over HTTP, coming back: nothing that was told is lost, and within the store nothing is told twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from mcptrio import ServerSettings
from tests.server.http.rig import Answer, HttpHouse, HttpSession, HttpWire, http
from tests.server.rig import request
from tests.transports.rooms import Rooms, hold

URIS = ("room://a", "room://b", "room://c")

settled = trio.testing.wait_all_tasks_blocked


@dataclass
class Reader:
    """A client of one session that reads its standing stream event by event, loses it, and comes back."""

    home: HttpHouse
    session: HttpSession
    seen: str | None = None
    """The id of the last event that it has read."""
    ids: set[str] = field(default_factory=set)
    told: list[str] = field(default_factory=list)
    stream: Answer | None = None
    careful: bool = True
    """It has always said what it has seen, when it came again."""
    came: int = 0
    _wire: HttpWire | None = None

    async def come(self, last: str | None) -> None:
        self.careful &= last is not None or not self.came
        self.came += 1
        self._wire = await self.home.connect()
        self.stream = await self._wire.request(
            "GET", mcp_session_id=self.session.id, last_event_id=last, content_type=None
        )
        assert self.stream.status == 200

    async def vanish(self) -> None:
        """The connection breaks; what was on its way is lost."""
        if self._wire is not None:
            await trio.aclose_forcefully(self._wire.stream)
        self.stream = self._wire = None
        await settled()

    async def read(self, most: int) -> None:
        """Read at most so many messages, as far as there are any."""
        with trio.move_on_after(0.5):
            while most and self.stream is not None:
                event = await self.stream.event()
                assert event["id"] not in self.ids, f"told twice: {event}"
                self.ids.add(event["id"])
                self.seen = event["id"]
                if event["data"]:
                    most -= 1
                    self.told.append(event["data"])

    def uris(self, since: int = 0) -> list[str]:
        """What it was told to read, from a place in `told` on. It may have been told of lists, too."""
        updates = [text for text in self.told[since:] if "list_changed" not in text]
        uris = [uri for text in updates for uri in URIS if f'"{uri}"' in text]
        assert len(uris) == len(updates)
        return uris


async def answer_by_stream(reader: Reader, rooms: Rooms, number: int) -> None:
    """A request whose answer goes by a stream: two reports and the answer take their places in the store."""
    rooms.gate.set()
    call = request(f"other {number}", "tools/call", hold("t", token=str(number)))
    answer = await reader.session.post(call)
    while "result" not in await answer.message():
        pass


changes = st.lists(st.sampled_from(URIS), min_size=1, max_size=6)
steps = st.one_of(
    st.tuples(st.just("change"), changes),
    st.tuples(st.just("read"), st.integers(1, 4)),
    st.tuples(st.just("vanish"), st.none()),
    st.tuples(st.just("come"), st.booleans()),
    st.tuples(st.just("replaced"), st.none()),
    st.tuples(st.just("other stream"), st.integers(1, 4)),
)


async def program(actions: list[tuple[str, object]], stored: int) -> None:
    """Whatever happens between: the last change of each URI is told, and an event is never told twice."""
    rooms = Rooms(ServerSettings(stored_events=stored, introspection=False))
    async with http(rooms.app) as home:
        session = await home.initialize()
        for uri in URIS:
            await session.call(uri, "resources/subscribe", {"uri": uri})
        reader = Reader(home, session)
        changed: Counter[str] = Counter()
        owed: dict[str, int] = {}  # the place in `told` behind which a change must be told
        events = 0
        for action, value in actions:
            if action == "change":
                assert isinstance(value, list)
                for uri in value:
                    rooms.app.updated_nowait(uri)
                    changed[uri] += 1
                    owed[uri] = len(reader.told)
                    await settled()
                events += len(value)
            elif action == "read":
                assert isinstance(value, int)
                await reader.read(value)
            elif action == "vanish":
                await reader.vanish()
            elif action == "come" and reader.stream is None:
                await reader.come(reader.seen if value else None)
            elif action == "replaced":
                # The former connection is still there, and nobody reads it any more.
                await reader.come(reader.seen)
            elif action == "other stream":
                # An answer that goes by a stream of its own takes its place in the store.
                assert isinstance(value, int)
                for _ in range(value):
                    await answer_by_stream(reader, rooms, events)
                    events += 3
        if reader.stream is None:
            await reader.come(reader.seen)
        await reader.read(1000)
        for uri, place in owed.items():
            # What was read before the last change does not count, what was read after it does.
            assert uri in reader.uris(place), f"the last change of {uri} was not told"
        if events <= stored and reader.careful:
            told = Counter(reader.uris())
            assert all(told[uri] <= changed[uri] for uri in URIS), (told, changed)
            assert len(reader.told) == rooms.app.server.flusher.delivered, (
                "something that was sent was not read"
            )


@settings(max_examples=60)
@given(st.lists(steps, max_size=20), st.sampled_from([1, 2, 3, 5, 256]))
def test_the_last_change_is_always_told_and_no_event_twice(
    actions: list[tuple[str, object]], stored: int
) -> None:
    trio.run(program, actions, stored, clock=MockClock(autojump_threshold=0))


async def opened(home: HttpHouse) -> Reader:
    """A session that has subscribed to everything, and reads."""
    session = await home.initialize()
    for uri in URIS:
        await session.call(uri, "resources/subscribe", {"uri": uri})
    reader = Reader(home, session)
    await reader.come(None)
    await reader.read(1)
    return reader


async def test_what_another_stream_has_pushed_out_of_the_store_is_told_to_who_comes_without_an_id(
    autojump_clock: MockClock,
) -> None:
    rooms = Rooms(ServerSettings(stored_events=2))
    async with http(rooms.app) as home:
        reader = await opened(home)
        rooms.app.updated_nowait(URIS[0])  # sent, and never read
        await settled()
        await answer_by_stream(reader, rooms, 1)
        await reader.vanish()
        await reader.come(None)
        await reader.read(len(URIS))
        assert sorted(reader.uris()) == list(URIS)


async def test_who_comes_back_to_an_earlier_place_than_before_is_told_of_everything_again(
    autojump_clock: MockClock,
) -> None:
    rooms = Rooms()
    async with http(rooms.app) as home:
        reader = await opened(home)
        early = reader.seen
        rooms.app.updated_nowait(URIS[0])
        await reader.read(1)
        await reader.vanish()
        await reader.come(reader.seen)  # what it has seen by now is forgotten
        await reader.vanish()
        await reader.come(early)
        await reader.read(len(URIS))
        assert sorted(reader.uris()[1:]) == list(URIS)


async def test_each_stream_is_come_back_to_on_its_own(autojump_clock: MockClock) -> None:
    rooms = Rooms()
    async with http(rooms.app) as home:
        reader = await opened(home)
        call = request("other", "tools/call", hold("t", token="p"))
        wire = await home.connect()
        other = await wire.post(call, mcp_session_id=reader.session.id)
        place = (await other.event())["id"]
        await trio.aclose_forcefully(wire.stream)
        await reader.vanish()
        rooms.app.updated_nowait(URIS[0])
        rooms.gate.set()
        await settled()
        # What belongs to the request goes by its stream, the change by the standing one, in whichever order they are asked for.
        back = await reader.session.get(place)
        progress = [(await back.message())["params"]["progress"] for _ in range(2)]  # type: ignore[index]
        assert (progress, (await back.message())["id"]) == ([1, 2], "other")
        assert await back.ended()
        await reader.come(reader.seen)
        await reader.read(10)
        assert reader.uris() == [URIS[0]]
        # Who says that it has seen no more than that is told what followed again.
        again = await reader.session.get(place)
        assert (await again.message())["params"]["progress"] == 1  # type: ignore[index]


async def test_every_message_goes_by_one_stream_and_the_newest_takes_the_place_of_the_one_before(
    autojump_clock: MockClock,
) -> None:
    rooms = Rooms()
    async with http(rooms.app) as home:
        first = await opened(home)
        second = Reader(home, first.session)
        await second.come(first.seen)
        rooms.app.updated_nowait(URIS[0])
        await second.read(10)
        assert second.uris() == [URIS[0]]
        assert first.stream is not None
        assert await first.stream.ended()


async def test_what_was_unsubscribed_while_nobody_read_is_not_told_to_who_comes(
    autojump_clock: MockClock,
) -> None:
    rooms = Rooms()
    async with http(rooms.app) as home:
        reader = await opened(home)
        await reader.vanish()
        for uri in URIS:
            rooms.app.updated_nowait(uri)
        await settled()
        await reader.session.call("u", "resources/unsubscribe", {"uri": URIS[1]})
        await reader.come(reader.seen)
        await reader.read(10)
        assert reader.uris() == [URIS[0], URIS[2]]
