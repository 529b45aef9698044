"""From a source's feed over the pump into the hub: order, backpressure, restarts."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from mcptrio.live import Change, Changes, Entry, Hub, InvalidUri, Pump
from mcptrio.live.pump import CAPACITY


async def test_what_is_reported_arrives_in_order_with_its_kind_data_id_and_source() -> None:
    hub = Hub()
    pump = Pump(hub)
    feed = pump.feed("mail")
    with Changes(hub, ("a:1", "a:2", "a:3", "a:4")) as changes:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pump.run)
            with trio.testing.assert_checkpoints():
                await feed.created("a:1", data=1, event_id="x")
            await feed.updated("a:2", data={"b": 2})
            await feed.deleted("a:3")
            await feed.report(Change(uri="a:4", kind="reaction_added", source="other"))
            await feed.created("a:1", event_id="x")  # repeated
            entries = [await changes.receive() for _ in range(4)]
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        with pytest.raises(trio.WouldBlock):
            changes.receive_nowait()
    assert [(each.offset, each.change.uri, each.change.kind, each.change.source) for each in entries] == [
        (1, "a:1", "created", "mail"),
        (2, "a:2", "updated", "mail"),
        (3, "a:3", "deleted", "mail"),
        (4, "a:4", "reaction_added", "other"),
    ]
    assert (entries[0].change.data, entries[0].change.event_id) == (1, "x")
    assert entries[1].change.data == {"b": 2}
    assert hub.statistics().duplicates == 1
    pump.close()


async def test_a_source_that_is_faster_than_the_hub_waits_and_loses_nothing() -> None:
    hub = Hub()
    pump = Pump(hub)
    feed = pump.feed("mail")
    done = 0

    async def report() -> None:
        nonlocal done
        for number in range(CAPACITY * 2):
            await feed.updated(f"a:{number}")
            done += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(report)
        await trio.testing.wait_all_tasks_blocked()
        assert done == CAPACITY == pump.statistics().current_buffer_used
        assert pump.statistics().tasks_waiting_send == 1
        nursery.start_soon(pump.run)
        await trio.testing.wait_all_tasks_blocked()
        assert done == CAPACITY * 2 == hub.offset
        nursery.cancel_scope.cancel()
    pump.close()


async def test_a_report_whose_wait_is_cancelled_was_not_made() -> None:
    hub = Hub()
    pump = Pump(hub)
    feed = pump.feed("mail")
    for number in range(CAPACITY):
        await feed.updated(f"a:{number}")
    with trio.CancelScope() as scope:
        scope.cancel()
        await feed.updated("a:late")
    assert scope.cancelled_caught
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert hub.offset == CAPACITY
    pump.close()


async def test_a_pump_that_ends_and_comes_back_keeps_what_was_reported() -> None:
    hub = Hub()
    pump = Pump(hub)
    feed = pump.feed("mail")
    total = 0
    with Changes(hub, tuple(f"a:{number}" for number in range(300))) as changes:
        for round_ in range(10):
            for number in range(30):
                await feed.updated(f"a:{round_ * 30 + number}")
                total += 1
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pump.run)
                for _ in range(round_ % 4):  # ends at another point each time
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            assert hub.offset + pump.statistics().current_buffer_used == total
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pump.run)
            entries = [await changes.receive() for _ in range(300)]
            nursery.cancel_scope.cancel()
    assert [each.change.uri for each in entries] == [f"a:{number}" for number in range(300)]
    assert [each.offset for each in entries] == list(range(1, 301))
    pump.close()


async def test_the_pump_lets_others_run_under_a_flood() -> None:
    hub = Hub()
    pump = Pump(hub)
    feed = pump.feed("mail")
    for _ in range(CAPACITY):
        await feed.updated("a:b")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump.run)
        await trio.lowlevel.checkpoint()
        assert 0 <= hub.offset < CAPACITY
        nursery.cancel_scope.cancel()
    pump.close()


async def test_what_names_no_resource_is_refused_where_it_is_reported() -> None:
    pump = Pump(Hub())
    feed = pump.feed("mail")
    with pytest.raises(InvalidUri):
        await feed.updated("nonsense")
    with pytest.raises(InvalidUri):
        await feed.report(Change(uri=""))
    assert pump.statistics().current_buffer_used == 0
    pump.close()


async def test_after_the_end_nothing_can_be_reported() -> None:
    pump = Pump(Hub())
    feed = pump.feed("mail")
    pump.close()
    pump.close()
    with pytest.raises(trio.ClosedResourceError):
        await feed.updated("a:b")


async def test_changes_are_the_newest_of_each_uri_and_end_with_the_block() -> None:
    hub = Hub()
    got: list[Entry] = []

    async def follow(changes: Changes) -> None:
        async for each in changes:
            got.append(each)

    changes = Changes(hub, ("a:1", "a:2"))
    async with trio.open_nursery() as nursery:
        with changes:
            hub.publish(Change(uri="a:1", data=1))
            hub.publish(Change(uri="a:2", data=2))
            hub.publish(Change(uri="a:1", data=3))
            hub.publish(Change(uri="a:9"))
            nursery.start_soon(follow, changes)
            await trio.testing.wait_all_tasks_blocked()
            assert [each.change.data for each in got] == [3, 2]
    changes.close()
    assert hub.statistics().subscriptions == 0
    with pytest.raises(trio.EndOfChannel):
        await changes.receive()
    with pytest.raises(trio.EndOfChannel):
        changes.receive_nowait()


async def test_the_event_ids_of_two_sources_are_told_apart_in_changes_of_their_own_kind_too() -> None:
    hub = Hub()
    pump = Pump(hub)
    with Changes(hub, ("a:1",)) as changes:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pump.run)
            for name in ("mail", "chat"):
                await pump.feed(name).report(Change(uri="a:1", kind="moved", event_id="1"))
                assert (await changes.receive()).change.source == name
            nursery.cancel_scope.cancel()
    assert hub.statistics().duplicates == 0
    pump.close()


async def test_who_is_told_of_changes_set_aside_and_fails_does_not_end_the_pump() -> None:
    class Full(Hub):
        def publish(self, change: Change) -> Entry | None:
            raise MemoryError

    def fails(change: Change, error: Exception) -> None:
        raise LookupError

    pump = Pump(Full())
    told: list[str] = []
    pump.on_set_aside(fails)
    pump.on_set_aside(lambda change, error: told.append(change.uri))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump.run)
        for uri in ("a:1", "a:2"):
            await pump.feed("mail").updated(uri)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert (told, pump.set_aside_total) == (["a:1", "a:2"], 2)
    pump.close()


async def test_receiving_changes_is_a_checkpoint_and_cancelling_it_loses_none() -> None:
    hub = Hub()
    with Changes(hub, ("a:1",)) as changes:
        hub.publish(Change(uri="a:1"))
        with trio.CancelScope() as scope:
            scope.cancel()
            await changes.receive()
        assert scope.cancelled_caught
        with trio.testing.assert_checkpoints():
            await changes.receive()


def test_changes_of_a_wrong_uri_leave_nothing_behind() -> None:
    hub = Hub()
    with pytest.raises(InvalidUri):
        Changes(hub, ("a:1", "nonsense"))
    assert hub.subscriptions() == {}
