"""Mails that are too old are deleted, in virtual time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import trio
import trio.testing

from mcptrio.catalog import ResourceNotFound
from mcptrio.live import Change, Feed
from mcptrio.sources.mail import Attachment, Envelope, Found
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


async def test_a_mail_and_its_end_are_told_with_its_heading_and_the_live_feed_with_its_counts() -> None:
    inlet = Inlet(SmtpSettings(keep=1))
    send, receive = trio.open_memory_channel[Change](100)
    feed = Feed("mail", send)
    for subject in ("first", "second"):
        found = Found(
            sender="Ada <ada@example.org>",
            to=("you@example.org",),
            subject=subject,
            text="secret",
            attachments=(Attachment(1, "a", "text/plain", 4),),
            keywords=("urgent",),
            contents={1: b"more"},
            size=512,
        )
        inlet._take(Delivery(Envelope("a@b", ()), found, subject.encode()), "mail")
        await inlet._outstanding.report_to(feed)
    told = [receive.receive_nowait() for _ in range(5)]
    assert [change.kind for change in told] == ["created", "updated", "created", "deleted", "updated"]
    created, _, _, deleted, live_feed = told
    heading = msgspec.to_builtins(created.data)
    assert (heading["from"], heading["subject"], heading["attachments"]) == (
        "Ada <ada@example.org>",
        "first",
        1,
    )
    assert created.metadata == {"author": "Ada <ada@example.org>", "size": 512, "tags": ["urgent"]}
    assert (deleted.uri, deleted.data, deleted.metadata) == (created.uri, created.data, created.metadata)
    assert msgspec.to_builtins(live_feed.data)["statistics"]["evicted"] == 1
    assert "secret" not in str(told) and "more" not in str(told)


@pytest.mark.parametrize("id", ["0", "2", "01", "+1", "-1", "", "x", "1.0", "١", "9" * 5000])
async def test_every_other_spelling_is_no_message(autojump_clock: trio.testing.MockClock, id: str) -> None:
    inlet = Inlet(SmtpSettings())
    inlet._take(Delivery(Envelope("a@b", ()), Found(contents={}, size=1), b""), "mail")
    with trio.testing.assert_checkpoints(), pytest.raises(ResourceNotFound):
        await inlet.read_message(id)
    with trio.testing.assert_checkpoints(), pytest.raises(ResourceNotFound):
        await inlet.read_attachment(id, "1")
