"""Which strings can name a resource."""

import jsonschema_rs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mcptrio.live import InvalidUri, check_uri
from mcptrio.live.uri import MAX_URI_LENGTH


@pytest.mark.parametrize(
    "uri",
    [
        "email://messages/1",
        "http://a",
        "urn:isbn:1",
        "a:b",
        "X-1.2+y:z",
        "file:///etc/passwd",
        "weather://z%C3%BCrich/%20",
        "a://user@[::1]:80/b//c?d=e/f#g?h",
        "mailto:ada@example.org",
        "a://" + "b" * (MAX_URI_LENGTH - 4),
        "data:,",
        "a:?q#f",
    ],
)
def test_an_absolute_uri_of_any_scheme_is_one(uri: str) -> None:
    check_uri(uri)


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("", "empty"),
        ("messages/1", "not absolute"),
        ("/messages/1", "not absolute"),
        ("//host/a", "not absolute"),
        (":b", "not absolute"),
        ("1a:b", "not absolute"),
        ("a_b:c", "not absolute"),
        ("é:b", "position 0"),
        ("a:\U0001f600", "percent-encode"),
        ("weather://zürich", "position 11"),
        ("a:%2", "position 2"),
        ("a:b|c", "position 3"),
        ('a:"b"', "position 2"),
        ("a:{b}", "position 2"),
        ("a:\\\\b", "position 2"),
        ("a://[b", "RFC 3986"),
        ("a://b:c", "RFC 3986"),
        ("a:b[c]", "RFC 3986"),
        ("a:b#c#d", "RFC 3986"),
        ("a:", "nothing behind"),
        ("a:b c", "position 3"),
        (" a:b", "position 0"),
        ("a:b\n", "position 3"),
        ("a:\x00", "position 2"),
        ("a:\x7f", "position 2"),
        ("a:\x85", "position 2"),
        ("a:\u2028", "position 2"),
        ("a:\ud800", "position 2"),
        ("a:" + "b" * MAX_URI_LENGTH, f"{MAX_URI_LENGTH + 2} characters"),
    ],
)
def test_what_names_no_resource_is_refused_with_the_reason(uri: str, why: str) -> None:
    with pytest.raises(InvalidUri, match=why):
        check_uri(uri)


def test_the_longest_allowed_uri_is_exactly_the_bound() -> None:
    check_uri("a:" + "b" * (MAX_URI_LENGTH - 2))
    with pytest.raises(InvalidUri):
        check_uri("a:" + "b" * (MAX_URI_LENGTH - 1))


@given(st.from_regex(r"\A[a-z]{1,3}:(//)?[A-Za-z0-9%:/?#\[\]@!$&'()*+,;=~._-]{0,20}\Z"))
@example("a://b/[c]")
def test_what_is_accepted_is_a_uri_to_the_schemas_judge_too(uri: str) -> None:
    judge = jsonschema_rs.validator_for({"format": "uri"}, validate_formats=True)
    try:
        check_uri(uri)
    except InvalidUri:
        return
    assert judge.is_valid(uri)


@given(st.text(max_size=40) | st.from_regex(r"\A[a-z][a-z0-9+.-]{0,5}:.{0,10}\Z"))
def test_any_string_is_accepted_whole_or_refused(uri: str) -> None:
    try:
        check_uri(uri)
    except InvalidUri as error:
        assert str(error).isprintable()
    else:
        scheme, colon, rest = uri.partition(":")
        assert colon
        assert rest
        assert scheme.isascii()
        assert scheme[0].isalpha()
        # Nothing in it can break a line of a log or be unsendable.
        assert len(uri.splitlines()) == 1
        uri.encode()
        assert not any(ord(each) < 0x21 or 0x7F <= ord(each) <= 0x9F for each in uri)
