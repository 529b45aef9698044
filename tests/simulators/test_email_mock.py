"""The email mock in virtual time."""

from collections.abc import Mapping

import msgspec
import pytest
import trio
import trio.testing

from mcptrio.catalog import Catalog, ResourceNotFound
from mcptrio.live import Change, Feed, SourceState
from mcptrio.simulators import EmailMockSettings
from mcptrio.simulators.email_mock import LIVE_FEED, EmailMock, install
from mcptrio.sources import Registry

CREATED, UPDATED, DELETED = "created", "updated", "deleted"


class Bench:
    """An email mock with a feed whose changes are kept."""

    def __init__(self, *, capacity: int = 1000, **settings: object) -> None:
        self.mock = EmailMock(msgspec.convert({"kind": "email_mock", **settings}, EmailMockSettings))
        self.send, self.receive = trio.open_memory_channel[Change](capacity)
        self.feed = Feed("email", self.send)

    async def run(self, duration: float) -> None:
        with trio.move_on_after(duration):
            await self.mock.run(self.feed)

    def reported(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        while True:
            try:
                change = self.receive.receive_nowait()
            except trio.WouldBlock:
                return found
            found.append((change.kind, change.uri))


def message(number: int) -> str:
    return f"email://messages/{number}"


@pytest.mark.parametrize("rate", [0.01, 1, 100])
async def test_the_first_message_comes_within_half_a_second(
    autojump_clock: trio.testing.MockClock, rate: float
) -> None:
    bench = Bench(rate=rate)
    await bench.run(0.5)
    assert bench.reported()[:2] == [(CREATED, message(1)), (UPDATED, LIVE_FEED)]
    assert bench.feed.state is SourceState.LIVE


async def test_messages_come_at_the_rate_in_order(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(rate=2, burst_every=0)
    await bench.run(5.1)
    assert bench.reported() == [
        change for number in range(1, 11) for change in ((CREATED, message(number)), (UPDATED, LIVE_FEED))
    ]


async def test_a_burst_comes_whole_and_in_order(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(rate=1, burst_every=2, burst_size=4, capacity=1)
    arrived: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.mock.run, bench.feed)
        while len(arrived) < 30:
            change = await bench.receive.receive()
            if change.kind == CREATED:
                arrived.append(change.uri)
        nursery.cancel_scope.cancel(reason="enough")
    assert arrived == [message(number) for number in range(1, 31)]
    # 1 message at 0.25 s, 4 at 1.25 s, 1, 4, ...: the 30th belongs to the twelfth arrival.
    assert trio.current_time() == pytest.approx(11.25)


async def test_the_oldest_message_beyond_the_bound_is_deleted(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(rate=1, burst_every=0, keep=2)
    await bench.run(3)
    assert bench.reported()[-3:] == [(CREATED, message(3)), (DELETED, message(1)), (UPDATED, LIVE_FEED)]
    assert await bench.mock.list_messages() == [message(3), message(2)]
    with pytest.raises(ResourceNotFound) as caught:
        await bench.mock.read_message("1")
    assert caught.value.uri == message(1)


async def test_a_message_reads_as_it_was_reported(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(senders=["ada@example.org"], urgency={"high": 1})
    await bench.run(0.5)
    change = bench.receive.receive_nowait()
    read = await bench.mock.read_message("1")
    assert change.data == read
    told = msgspec.to_builtins(read)
    assert set(told) == {"id", "from", "to", "subject", "urgency", "received_at", "body"}
    assert (told["from"], told["urgency"]) == ("ada@example.org", "high")
    size = len(read.body.encode())
    assert change.metadata == {"author": "ada@example.org", "size": size, "tags": ["high"]}


async def test_a_deletion_tells_the_message_that_it_was_and_the_live_feed_its_counts(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = Bench(rate=1, burst_every=0, keep=1)
    await bench.run(1.5)
    told = [bench.receive.receive_nowait() for _ in range(5)]
    assert [change.kind for change in told] == [CREATED, UPDATED, CREATED, DELETED, UPDATED]
    assert (told[3].data, told[3].metadata) == (told[0].data, told[0].metadata)
    counts = [msgspec.to_builtins(told[index].data)["statistics"] for index in (1, 4)]
    assert [(each["received"], each["evicted"]) for each in counts] == [(1, 0), (2, 1)]


async def test_the_live_feed_shows_counts_and_the_newest_messages(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = Bench(rate=10, burst_every=0)
    await bench.run(1.85)
    shown = await bench.mock.read_live_feed()
    assert shown.statistics.received == 18
    assert [entry.id for entry in shown.newest] == list(range(18, 8, -1))


@pytest.mark.parametrize("id", ["0", "2", "01", "+1", "-1", "", "x", "1.0", "١", "9" * 5000])
async def test_every_other_spelling_is_no_message(autojump_clock: trio.testing.MockClock, id: str) -> None:
    bench = Bench(rate=1)
    await bench.run(0.5)
    with pytest.raises(ResourceNotFound):
        await bench.mock.read_message(id)


async def test_a_restarted_task_reports_nothing_twice_and_loses_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = Bench(rate=1, burst_every=1, burst_size=10, keep=5, capacity=3)
    arrived: list[tuple[str, str]] = []
    for _ in range(40):
        await bench.run(0.3)
        arrived += bench.reported()
    created = [uri for kind, uri in arrived if kind == CREATED]
    deleted = [uri for kind, uri in arrived if kind == DELETED]
    assert created == [message(number) for number in range(1, len(created) + 1)]
    assert deleted == [message(number) for number in range(1, len(deleted) + 1)]
    assert len(created) > 30


async def test_the_same_seed_gives_the_same_mail(autojump_clock: trio.testing.MockClock) -> None:
    async def mail(seed: int) -> list[tuple[str, str, str]]:
        bench = Bench(seed=seed, rate=10)
        await bench.run(2.95)
        return [
            (entry.sender, entry.subject, entry.urgency)
            for entry in (await bench.mock.read_live_feed()).newest
        ]

    assert await mail(7) == await mail(7)
    assert await mail(7) != await mail(8)


async def test_reading_is_a_checkpoint(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    await bench.run(0.5)
    for read in (bench.mock.read_live_feed, bench.mock.list_messages, lambda: bench.mock.read_message("1")):
        with trio.testing.assert_checkpoints():
            await read()


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"name": ""}, "`name` is empty"),
        ({"rate": 0}, "`rate` is 0"),
        ({"rate": 1e9}, "`rate` is 1e"),
        ({"senders": []}, "`senders` needs at least one"),
        ({"senders": [""]}, "`senders` needs at least one"),
        ({"urgency": {"urgent": 1}}, "`urgency` knows low, medium, high, not 'urgent'"),
        ({"urgency": {"low": 0}}, "one above 0"),
        ({"urgency": {"low": -1}}, "weights from 0"),
        ({"burst_every": -1}, "`burst_every` must be"),
        ({"burst_size": 0}, "`burst_size` must be"),
        ({"keep": 0}, "`keep` must be"),
        ({"kep": 1}, "unknown field `kep`"),
    ],
)
def test_what_cannot_work_is_refused_by_name(wrong: Mapping[str, object], text: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=text):
        msgspec.convert({"kind": "email_mock", **wrong}, EmailMockSettings)


def test_installing_offers_both_resources_and_a_task() -> None:
    registry = Registry(Catalog())
    install(registry, EmailMockSettings(name="mail"))
    assert registry.catalog.could_serve("email://messages/7")
    assert registry.catalog.could_serve(LIVE_FEED)
    assert not registry.catalog.could_serve("email://other")
    [spec] = registry.sources()
    assert (spec.name, spec.always) == ("mail", True)
