"""Reporting changes from the embedding program, and following them."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
import trio

from mcptrio import App, Change
from mcptrio.live import InvalidUri


def test_changes_carry_what_was_reported_running_or_not() -> None:
    app = App("house")
    with app.changes("a:1", "a:2") as changes:
        app.created_nowait("a:1", data={"x": 1}, event_id="e1")
        first = changes.receive_nowait()
        app.updated_nowait("a:1", data=2)
        second = changes.receive_nowait()
        app.deleted_nowait("a:2", event_id="e2")
        third = changes.receive_nowait()
        entry = app.publish_nowait(Change(uri="a:1", kind="reaction_added", data="+1", event_id="e3"))
        fourth = changes.receive_nowait()
        assert entry == fourth
        assert app.publish_nowait(Change(uri="a:1", event_id="e3")) is None
        with pytest.raises(trio.WouldBlock):
            changes.receive_nowait()
    assert [
        (each.offset, each.change.uri, each.change.kind, each.change.data, each.change.event_id)
        for each in (first, second, third, fourth)
    ] == [
        (1, "a:1", "created", {"x": 1}, "e1"),
        (2, "a:1", "updated", 2, None),
        (3, "a:2", "deleted", None, "e2"),
        (4, "a:1", "reaction_added", "+1", "e3"),
    ]
    assert abs(first.change.at - datetime.now(UTC)) < timedelta(minutes=1)
    assert app.hub.subscriptions() == {}


def test_a_change_of_nothing_is_refused() -> None:
    app = App("house")
    for report in (app.created_nowait, app.updated_nowait, app.deleted_nowait):
        with pytest.raises(InvalidUri):
            report("nonsense")
    with pytest.raises(InvalidUri):
        app.changes("a:1", "")
    assert app.hub.offset == 0
    assert app.hub.subscriptions() == {}


async def test_when_the_call_returns_every_outbox_has_the_change() -> None:
    app = App("house")
    app.catalog.add_pattern("a:{id}")
    async with app.connect() as client, client.subscribe("a:1") as updates:
        (outbox,) = app.hub.subscribers("a:1")
        app.updated_nowait("a:1")
        assert len(outbox) == 1
        assert (await updates.__anext__()).uri == "a:1"


async def test_a_thread_reports_while_the_app_runs() -> None:
    app = App("house")

    def work() -> None:
        app.from_thread.created("a:1", data=1, event_id="x")
        app.from_thread.updated("a:2", data=2)
        app.from_thread.deleted("a:3", data=3)
        with pytest.raises(InvalidUri):
            app.from_thread.updated("nonsense")

    async with app.connect():
        with app.changes("a:1", "a:2", "a:3") as changes:
            await trio.to_thread.run_sync(work)
            entries = [changes.receive_nowait() for _ in range(3)]
            thread = threading.Thread(target=work)  # one that Trio knows nothing of
            thread.start()
            again = [await changes.receive() for _ in range(2)]
            await trio.to_thread.run_sync(thread.join)
    assert [(each.change.kind, each.change.data) for each in entries] == [
        ("created", 1),
        ("updated", 2),
        ("deleted", 3),
    ]
    assert [each.change.kind for each in again] == ["updated", "deleted"]  # the creation was a repetition


async def test_a_thread_is_told_when_the_app_does_not_run() -> None:
    app = App("house")

    def work() -> None:
        with pytest.raises(RuntimeError, match="not running"):
            app.from_thread.updated("a:1")

    work()
    async with app.connect():
        pass
    await trio.to_thread.run_sync(work)
    assert app.hub.offset == 0


async def test_a_thread_that_reports_as_trio_code_does_is_told_how() -> None:
    app = App("house")

    def work() -> None:
        with pytest.raises(RuntimeError, match="from_thread"):
            app.updated_nowait("a:1")

    async with app.connect():
        await trio.to_thread.run_sync(work)
    assert app.hub.offset == 0
