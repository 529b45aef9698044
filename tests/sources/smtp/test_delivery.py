"""The bridge's side in Trio: what is open, what is given up, and what comes again."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from mcptrio.sources.mail import Envelope, Found
from mcptrio.sources.smtp.delivery import Delivery, Inbox, Unanswered

MockClock = trio.testing.MockClock


def delivery(digest: bytes = b"x") -> Delivery:
    return Delivery(Envelope("a@b", ("c@d",)), Found(contents={}, size=1), digest)


async def test_deliveries_are_taken_in_their_order(autojump_clock: MockClock) -> None:
    inbox = Inbox(lambda delivery: None)
    first, second = delivery(), delivery()
    async with trio.open_nursery() as nursery:
        taken: list[Delivery | None] = []

        async def take() -> None:
            taken.append(await inbox.take())

        nursery.start_soon(take)
        await trio.testing.wait_all_tasks_blocked()
        inbox.put(first)
        inbox.put(second)
    assert taken == [first]
    assert await inbox.take() is second
    assert await inbox.take(5) is None
    assert trio.current_time() == 5
    assert len(inbox) == 2, "open until answered"


async def test_what_was_given_up_before_it_was_taken_is_not_taken(autojump_clock: MockClock) -> None:
    abandoned: list[Delivery] = []
    inbox = Inbox(abandoned.append)
    first, second = delivery(), delivery()
    inbox.put(first)
    inbox.put(second)
    inbox.abandon(first)
    assert await inbox.take() is second
    assert (abandoned, len(inbox)) == ([], 1)


async def test_what_was_given_up_after_it_was_kept_is_told(autojump_clock: MockClock) -> None:
    abandoned: list[Delivery] = []
    inbox = Inbox(abandoned.append)
    deliveries = [delivery() for _ in range(4)]
    for each in deliveries:
        inbox.put(each)
    for number in (0, 1, 2):
        taken = await inbox.take()
        assert taken is not None
        taken.id = number + 1
    inbox.answered(deliveries[0])
    inbox.abandon(deliveries[0])
    inbox.abandon(deliveries[1])
    inbox.abandon(deliveries[1])
    assert abandoned == [deliveries[1]]
    inbox.close()
    inbox.close()
    assert abandoned == [deliveries[1], deliveries[2]]
    inbox.put(delivery())
    assert len(inbox) == 0


async def test_a_cancelled_wait_took_nothing(autojump_clock: MockClock) -> None:
    inbox = Inbox(lambda delivery: None)
    inbox.put(delivery())
    with trio.CancelScope() as scope:
        scope.cancel()
        await inbox.take()
    assert scope.cancelled_caught
    assert await inbox.take() is not None


async def test_taking_is_a_checkpoint(autojump_clock: MockClock) -> None:
    inbox = Inbox(lambda delivery: None)
    inbox.put(delivery())
    with trio.testing.assert_checkpoints():
        await inbox.take()


def test_an_unanswered_mail_is_known_once_and_not_for_ever() -> None:
    unanswered = Unanswered()
    unanswered.add(b"a", 1, 0.0)
    assert unanswered.take(b"b", 0.0) is None
    assert unanswered.take(b"a", Unanswered.AGE) == 1
    assert unanswered.take(b"a", 0.0) is None
    unanswered.add(b"a", 2, 0.0)
    assert unanswered.take(b"a", Unanswered.AGE + 1) is None


def test_unanswered_mails_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Unanswered, "MOST", 2)
    unanswered = Unanswered()
    for number in range(4):
        unanswered.add(bytes([number]), number, 0.0)
    unanswered.add(b"\2", 7, 0.0)
    assert len(unanswered) == 2
    assert unanswered.take(b"\1", 0.0) is None
    assert unanswered.take(b"\2", 0.0) == 7
