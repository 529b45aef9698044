"""Big documents are read in a thread, with the same result. On the real clock: threads know no other."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import trio

from mcptrio.live import SourceState
from mcptrio.sources.poller.items import Shape, Snapshot
from mcptrio.sources.poller.poller import BIG
from tests.sources.poller.origin import Bench, Origin, releases

FILLING = "x" * BIG


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads in which documents were read."""
    threads: list[int] = []
    plain = Shape.snapshot

    def snapshot(self: Shape, body: bytes) -> Snapshot:
        threads.append(threading.get_ident())
        return plain(self, body)

    monkeypatch.setattr(Shape, "snapshot", snapshot)
    return threads


async def poll_until(bench: Bench, condition: Callable[[], bool]) -> None:
    """Run the poller anew, so that it polls at once, until a condition holds."""
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bench.poller.run, bench.feed)
            while not condition():  # noqa: ASYNC110 - what a thread is at sets no event
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()


def waiting(bench: Bench) -> int:
    return bench.receive.statistics().current_buffer_used


@pytest.mark.parametrize("big", [False, True])
async def test_a_big_document_is_read_in_a_thread_and_comes_to_the_same(
    big: bool, readers: list[int]
) -> None:
    filling = FILLING if big else ""
    origin = Origin(releases({"id": 1}, {"id": 2}, {"id": 3, "filling": filling}))
    bench = Bench(origin)
    assert (len(origin.body) >= BIG) is big
    await poll_until(bench, lambda: bool(bench.states))
    assert bench.states == [(SourceState.POLLING, "")]
    assert bench.reported() == []
    assert [item.uri for item in await bench.poller.list_items()] == [f"releases://{id}" for id in (1, 2, 3)]
    assert await bench.poller.read_item("2") == '{"id":2}'
    origin.body = releases({"id": 2, "v": 2}, {"id": 3, "filling": filling}, {"id": 4})
    await poll_until(bench, lambda: waiting(bench) == 3)
    assert bench.reported() == [
        ("updated", "releases://2"),
        ("created", "releases://4"),
        ("deleted", "releases://1"),
    ]
    assert await bench.poller.read_item("2") == '{"id":2,"v":2}'
    assert len(readers) == 2
    assert (threading.get_ident() not in readers) if big else (set(readers) == {threading.get_ident()})


@pytest.mark.parametrize(
    "bad", [b"{" + b" " * BIG, b"\xff" * BIG, b"[" * BIG, b'{"releases":"%b"}' % FILLING.encode()]
)
async def test_a_big_document_that_is_none_is_a_state_in_words_and_the_last_good_one_stays(
    bad: bytes, readers: list[int]
) -> None:
    origin = Origin(releases({"id": 1}))
    bench = Bench(origin)
    await poll_until(bench, lambda: bool(bench.states))
    origin.body = bad
    await poll_until(bench, lambda: bench.state[0] is SourceState.FAILED)
    assert "the document" in bench.state[1]
    assert threading.get_ident() != readers[1]
    assert await bench.poller.read_item("1") == '{"id":1}'
    assert bench.reported() == []
    origin.body = releases({"id": 1, "v": 2}, {"id": 2, "filling": FILLING})
    await poll_until(bench, lambda: waiting(bench) == 2)
    assert bench.reported() == [("updated", "releases://1"), ("created", "releases://2")]


async def test_others_run_while_a_big_document_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    entered, leave = threading.Event(), threading.Event()
    plain = Shape.snapshot

    def snapshot(self: Shape, body: bytes) -> Snapshot:
        entered.set()
        assert leave.wait(20)
        return plain(self, body)

    monkeypatch.setattr(Shape, "snapshot", snapshot)
    bench = Bench(Origin(releases({"id": 1, "filling": FILLING})))

    async def wait() -> None:
        try:
            with trio.fail_after(10):
                while not entered.is_set():  # noqa: ASYNC110 - as above
                    await trio.lowlevel.checkpoint()
            assert bench.states == []
        finally:
            leave.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await poll_until(bench, lambda: bool(bench.states))
    assert bench.states == [(SourceState.POLLING, "")]
