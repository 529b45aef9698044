"""What is kept: bounded by number, bytes and age, the oldest going first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mcptrio.sources.mail import Envelope, Kept, Mail, Mailbox, Retention
from mcptrio.sources.mail.mailbox import OVERHEAD

START = datetime(2026, 1, 1, tzinfo=UTC)


def mail(id: int, at: datetime = START, text: str = "") -> Mail:
    return Mail(
        id=id,
        received_at=at,
        envelope=Envelope("", ()),
        sender="",
        to=(),
        cc=(),
        subject="",
        date=None,
        message_id="",
        size=0,
        text=text,
        html=None,
        truncated=False,
        attachments=(),
        defects=(),
    )


def mailbox(count: int = 100, bytes: int = 10**9, age: timedelta = timedelta(days=1)) -> Mailbox:
    return Mailbox(Retention(count, bytes, age))


def add(box: Mailbox, mail: Mail, contents: dict[int, bytes] | None = None) -> list[int]:
    return gone(box.add(Kept(mail, contents or {})))


def gone(kept: list[Kept]) -> list[int]:
    return [each.mail.id for each in kept]


def ids(mails: list[Mail]) -> list[int]:
    return [each.id for each in mails]


def test_beyond_the_number_the_oldest_goes() -> None:
    box = mailbox(count=2)
    assert [add(box, mail(id)) for id in range(1, 5)] == [[], [], [1], [2]]
    assert ids(list(box.newest())) == [4, 3]
    assert box.get(1) is None


def test_beyond_the_bytes_as_many_go_as_must() -> None:
    box = mailbox(bytes=3 * OVERHEAD + 100)
    for id in range(1, 4):
        add(box, mail(id, text="x" * 30))
    assert add(box, mail(4), {1: b"x" * (OVERHEAD + 50)}) == [1, 2]
    assert add(box, mail(5), {1: b"x" * 10**6}) == [3, 4], "the newest stays, whatever it takes"
    assert add(box, mail(6)) == [5]
    assert box.statistics().kept_bytes == OVERHEAD


def test_what_is_too_old_goes_when_it_is_looked_at() -> None:
    box = mailbox(age=timedelta(hours=1))
    assert box.next_expiry() is None
    for id in range(1, 4):
        add(box, mail(id, START + timedelta(minutes=id)))
    assert box.next_expiry() == START + timedelta(minutes=61)
    assert gone(box.expire(START + timedelta(minutes=61))) == [1]
    assert box.expire(START + timedelta(minutes=61)) == []
    assert gone(box.expire(START + timedelta(days=1))) == [2, 3]
    assert box.next_expiry() is None
    assert box.next_id == 4


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 100), st.booleans()), max_size=60),
    st.integers(1, 5),
    st.integers(0, 20_000),
)
def test_the_bounds_hold_whatever_comes(steps: list[tuple[int, int, bool]], count: int, most: int) -> None:
    box = mailbox(count, most, timedelta(minutes=90))
    now, left = START, []
    for size, minutes, expires in steps:
        now += timedelta(minutes=minutes)
        left += gone(box.expire(now)) if expires else []
        left += add(box, mail(box.next_id, now), {1: b"x" * size})
        kept = list(box.newest())
        assert len(kept) <= count
        assert len(kept) == 1 or box.statistics().kept_bytes <= most
        assert left + ids(kept)[::-1] == list(range(1, box.next_id)), "all in order, each in one place"
        statistics = box.statistics()
        assert statistics.received == statistics.kept + statistics.evicted == box.next_id - 1
