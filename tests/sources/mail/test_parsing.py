"""Whatever the bytes of a mail are, there is a mail; and what is sound is read as it was meant."""

from __future__ import annotations

import base64
import email.policy
import random
from datetime import UTC, datetime
from email.message import EmailMessage

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.sources.mail import headers, parsing
from mcptrio.sources.mail.message import Found
from mcptrio.sources.mail.parsing import parse
from tests.sources.mail.shapes import SHAPES

KEPT = 1_000_000


def expect_sound(found: Found, raw: bytes) -> None:
    """It has a JSON form, its texts are of one line, and nothing is without bounds."""
    text = msgspec.json.encode(found)
    assert len(text) < 8 * len(raw) + 100_000
    assert found.size == len(raw)
    for line in (found.sender, found.subject, found.message_id, *found.to, *found.cc, *found.keywords):
        assert len(line) <= headers.MAX_SHOWN
        assert line.isprintable() or not any(ord(character) < 32 for character in line), line
    assert len(found.text) <= parsing.MAX_TEXT and "\0" not in found.text
    assert len(found.attachments) <= parsing.MAX_PARTS
    assert [each.number for each in found.attachments] == list(range(1, len(found.attachments) + 1))
    for attachment in found.attachments:
        assert "/" not in attachment.name and len(attachment.name) <= 200
        assert attachment.mime_type.isascii() and attachment.mime_type.count("/") == 1
        if attachment.size <= KEPT:
            assert len(found.contents[attachment.number]) == attachment.size
    assert len(found.defects) <= parsing.MAX_DEFECTS


@pytest.mark.parametrize("shape", SHAPES)
def test_a_malformed_mail_is_a_mail(shape: str) -> None:
    expect_sound(parse(SHAPES[shape], KEPT), SHAPES[shape])


@pytest.mark.parametrize(
    ("shape", "defect"),
    [
        ("no end", "close boundary not found"),
        ("ten thousand parts", "not taken apart, shown as it came: it has more than 100 parts"),
        ("two thousand levels", "not taken apart, shown as it came: it has more than 100 parts"),
        ("a charset that does not exist", "unknown charset 'klingon'"),
        ("a charset that is a codec", "unknown charset 'punycode'"),
        ("no boundary", "no boundary in multipart"),
        ("many addresses", "more than 100 addresses in to"),
    ],
)
def test_what_is_wrong_is_said(shape: str, defect: str) -> None:
    assert defect in parse(SHAPES[shape], KEPT).defects


@given(st.binary(max_size=2000))
def test_any_bytes_are_a_mail(raw: bytes) -> None:
    expect_sound(parse(raw, KEPT), raw)


@given(
    st.sampled_from([shape for shape in SHAPES.values() if len(shape) < 20_000]),
    st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 50), st.binary(max_size=30)), max_size=8),
)
def test_a_mutated_mail_is_a_mail(raw: bytes, edits: list[tuple[int, int, bytes]]) -> None:
    for at, length, new in edits:
        at %= len(raw) + 1
        raw = raw[:at] + new + raw[at + length :]
    expect_sound(parse(raw, KEPT), raw)


_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=60)


@given(
    subject=_WORDS.map(lambda text: " ".join(text.split())),
    body=_WORDS,
    files=st.lists(
        st.tuples(st.binary(max_size=500), st.from_regex(r"[\w ]{1,20}x", fullmatch=True)), max_size=4
    ),
    html=st.none() | _WORDS,
)
def test_what_the_library_writes_is_read_again(
    subject: str, body: str, files: list[tuple[bytes, str]], html: str | None
) -> None:
    message = EmailMessage()
    message["From"] = "Käthe <a@example.org>"
    message["To"] = "b@example.org, C <c@example.org>"
    message["Date"] = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    message["Subject"] = subject
    message.set_content(body)
    if html is not None:
        message.add_alternative(html, subtype="html")
    for content, name in files:
        message.add_attachment(content, maintype="application", subtype="x-thing", filename=name)
    found = parse(message.as_bytes(policy=email.policy.SMTP), KEPT)
    assert found.sender == "Käthe <a@example.org>"
    assert found.to == ("b@example.org", "C <c@example.org>")
    assert found.date == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert found.text.rstrip("\n") == body.rstrip("\n")
    assert (found.html or "").rstrip("\n") == (html or "").rstrip("\n")
    assert [found.contents[number + 1] for number in range(len(files))] == [content for content, _ in files]
    assert found.subject == subject


@pytest.mark.parametrize("size", [300_000, 300_001, 300_002, 3 * 1024 * 1024, 1024 * 1024 + 1])
@pytest.mark.parametrize("coding", ["base64", "quoted-printable"])
@pytest.mark.parametrize("policy", [email.policy.default, email.policy.SMTP])
def test_large_contents_are_whole(size: int, coding: str, policy: email.policy.EmailPolicy) -> None:
    content = random.Random(size).randbytes(size)
    message = EmailMessage()
    message.set_content("see there")
    message.add_attachment(content, maintype="a", subtype="b", cte=coding)
    found = parse(message.as_bytes(policy=policy), 10**7)
    assert (found.contents, found.defects) == ({1: content}, ())


def test_large_content_of_eight_bits_is_whole() -> None:
    begin = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: a/b\r\n\r\n"
    content = (b"\xff\x00" * 40 + b"\r\n") * 5000
    assert parse(begin + content + b"\r\n--b--\r\n", 10**7).contents == {1: content}


def test_large_unsound_base64_is_what_the_library_makes_of_it() -> None:
    for shape in ("large base64 with rubbish", "large base64 with padding inside"):
        raw = SHAPES[shape]
        expected = email.message_from_bytes(raw).get_payload(decode=True)
        [content] = parse(raw, 10**7).contents.values()
        assert isinstance(expected, bytes)
        assert content == expected.rstrip(b"\r\n") or base64.b64encode(content) == base64.b64encode(expected)


def test_a_long_text_is_cut_and_says_so() -> None:
    found = parse(b"Subject: s\r\n\r\n" + b"x" * (parsing.MAX_TEXT + 1), KEPT)
    assert (found.text, found.truncated) == ("x" * parsing.MAX_TEXT, True)


def test_too_many_lines_are_not_taken_apart() -> None:
    found = parse(b"Subject: s\r\n" + b"\n" * (parsing.MAX_LINES + 1), KEPT)
    assert found.defects == ("not taken apart, shown as it came: it has more than 1000000 lines",)
    assert found.subject == ""


def test_headers_that_take_too_long_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "MAX_SECONDS", -1.0)
    found = parse(b"Subject: s\r\n\r\nx\r\n", KEPT)
    assert found.defects == ("not taken apart, shown as it came: its headers take too long to read",)
    assert found.text == "Subject: s\r\n\r\nx\r\n"


def test_contents_beyond_the_bound_are_listed_only() -> None:
    message = EmailMessage()
    message.set_content("x")
    for size in (10, 11):
        message.add_attachment(b"x" * size, maintype="a", subtype="b")
    found = parse(message.as_bytes(), 10)
    assert [each.size for each in found.attachments] == [10, 11]
    assert found.contents == {1: b"x" * 10}


def test_keywords_are_read_and_bounded() -> None:
    assert parse(b"Keywords: urgent, =?utf-8?q?S=C3=BC=C3=9F?= ,,\r\n\r\nx\r\n", KEPT).keywords == (
        "urgent",
        "Süß",
    )
    assert parse(b"Subject: s\r\n\r\nx\r\n", KEPT).keywords == ()
    many = parse(b"Keywords: " + b"a," * 500 + b"\r\n\r\nx\r\n", KEPT).keywords
    assert many == ("a",) * parsing.MAX_KEYWORDS
    [long] = parse(b"Keywords: " + b"a" * 900 + b"\r\n\r\nx\r\n", KEPT).keywords
    assert len(long) == parsing.MAX_KEYWORD
