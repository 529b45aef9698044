"""Mails that are too old are deleted, in virtual time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import trio
import trio.testing

from mcptrio.catalog import ResourceNotFound
from mcptrio.live import Change, Feed
from mcptrio.sources.mail import Envelope, Found
from mcptrio.sources.smtp import Inlet, SmtpSettings
from mcptrio.sources.smtp.delivery import Delivery, Inbox

START = datetime(2026, 1, 1, tzinfo=UTC)


async def test_a_mail_is_deleted_when_it_is_too_old(autojump_clock: trio.testing.MockClock) -> None:
    inlet = Inlet(SmtpSettings(keep_for="3h"), now=lambda: START + timedelta(seconds=trio.current_time()))
    send, receive = trio.open_memory_channel[Change](100)
    feed = Feed("mail", send)
    inbox = Inbox(lambda delivery: None)
    answered: list[int] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inlet._take_in, inbox, feed)
        for _ in range(2):
            delivery = Delivery(Envelope("a@b", ()), Found(contents={}, size=1), b"")
            delivery.answer = answered.append
            inbox.put(delivery)
            await trio.sleep(3600)
        assert answered == [1, 2]
        assert len(await inlet.list_messages()) == 2
        await trio.sleep(3600.5)
        assert [each.uri for each in await inlet.list_messages()] == ["mail://messages/2"]
        with pytest.raises(ResourceNotFound):
            await inlet.read_message("1")
        await trio.sleep(86_400)
        assert await inlet.list_messages() == []
        shown = await inlet.read_live_feed()
        assert (shown.statistics.received, shown.statistics.kept, shown.newest) == (2, 0, [])
        nursery.cancel_scope.cancel()
    told = []
    while receive.statistics().current_buffer_used:
        change = receive.receive_nowait()
        told.append((change.kind, change.uri.removeprefix("mail://")))
    assert told == [
        ("created", "messages/1"),
        ("updated", "live-feed"),
        ("created", "messages/2"),
        ("updated", "live-feed"),
        ("deleted", "messages/1"),
        ("updated", "live-feed"),
        ("deleted", "messages/2"),
        ("updated", "live-feed"),
    ]


@pytest.mark.parametrize("id", ["0", "2", "01", "+1", "-1", "", "x", "1.0", "١", "9" * 5000])
async def test_every_other_spelling_is_no_message(autojump_clock: trio.testing.MockClock, id: str) -> None:
    inlet = Inlet(SmtpSettings())
    inlet._take(Delivery(Envelope("a@b", ()), Found(contents={}, size=1), b""), "mail")
    with trio.testing.assert_checkpoints(), pytest.raises(ResourceNotFound):
        await inlet.read_message(id)
    with trio.testing.assert_checkpoints(), pytest.raises(ResourceNotFound):
        await inlet.read_attachment(id, "1")
