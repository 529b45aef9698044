"""What goes with the changes of a mail, and how much of it at most."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.live import Change, Entry
from mcptrio.live.weight import weigh
from mcptrio.sources.mail import Attachment, Envelope, Heading, Mail, metadata_of
from mcptrio.sources.mail.headers import MAX_SHOWN
from mcptrio.sources.mail.heading import MOST_ADDRESSES
from mcptrio.sources.mail.parsing import MAX_KEYWORD, MAX_KEYWORDS, MAX_RECIPIENTS

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MAIL = Mail(
    id=7,
    received_at=AT,
    envelope=Envelope("ada@example.org", ("grace@example.org", "hidden@example.org")),
    sender="Ada <ada@example.org>",
    to=("grace@example.org",),
    cc=(),
    subject="Hello",
    date=None,
    message_id="<7@example.org>",
    size=512,
    text="How are you?",
    html="<p>How are you?</p>",
    truncated=False,
    attachments=(Attachment(1, "plan.pdf", "application/pdf", 100),),
    defects=(),
)


def told(mail: Mail) -> dict[str, object]:
    found: object = msgspec.json.decode(msgspec.json.encode(Heading.of(mail)))
    assert isinstance(found, dict)
    return found


def test_a_heading_has_what_its_mail_reads_as_but_no_text_no_attachments_and_no_envelope() -> None:
    assert told(MAIL) == {
        "id": 7,
        "received_at": "2026-01-02T03:04:05Z",
        "from": "Ada <ada@example.org>",
        "to": ["grace@example.org"],
        "cc": [],
        "subject": "Hello",
        "date": None,
        "message_id": "<7@example.org>",
        "size": 512,
        "attachments": 1,
    }
    read = msgspec.json.decode(msgspec.json.encode(MAIL))
    same = told(MAIL).keys() - {"received_at", "attachments"}
    assert {name: told(MAIL)[name] for name in same} == {name: read[name] for name in same}


def test_metadata_are_what_there_is_of_them() -> None:
    assert metadata_of(MAIL, ("urgent",)) == {
        "author": "Ada <ada@example.org>",
        "size": 512,
        "tags": ["urgent"],
    }
    assert metadata_of(msgspec.structs.replace(MAIL, sender=""), ()) == {"size": 512}


@given(st.lists(st.integers(1, MAX_SHOWN), max_size=MAX_RECIPIENTS))
def test_the_first_addresses_are_told_as_far_as_there_is_room(lengths: list[int]) -> None:
    addresses = tuple(chr(0x1F600 + index) * length for index, length in enumerate(lengths))
    heading = Heading.of(msgspec.structs.replace(MAIL, to=addresses, cc=addresses))
    assert heading.to == heading.cc == addresses[: len(heading.to)]
    assert sum(map(len, heading.to)) <= MOST_ADDRESSES
    if len(heading.to) < len(addresses):
        assert sum(map(len, addresses[: len(heading.to) + 1])) > MOST_ADDRESSES


def test_the_largest_heading_there_is_weighs_less_than_a_hundred_kilobytes() -> None:
    long = "\U0001f600" * MAX_SHOWN
    many = tuple("\U0001f600" * (MOST_ADDRESSES // MAX_RECIPIENTS) + str(n) for n in range(MAX_RECIPIENTS))
    mail = msgspec.structs.replace(
        MAIL, sender=long, subject=long + "s", message_id=long + "m", to=many, cc=many
    )
    tags = tuple("\U0001f600" * MAX_KEYWORD + str(n) for n in range(MAX_KEYWORDS))
    change = Change(uri="mail://messages/7", data=Heading.of(mail), metadata=metadata_of(mail, tags))
    assert weigh(Entry(1, change)) < 100 * 1024
