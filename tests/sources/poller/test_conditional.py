"""Conditional requests: what is known for certain is used, and nothing else."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.sources.poller.conditional import Validators, http_date, retry_after

URL = "http://a/"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOON = "Thu, 01 Jan 2026 12:00:00 GMT"
ONE_LATER = "Thu, 01 Jan 2026 12:00:01 GMT"
TWO_LATER = "Thu, 01 Jan 2026 12:00:02 GMT"


def conditions(**headers: str) -> dict[str, str]:
    return Validators.of(
        URL, {name.replace("_", "-"): value for name, value in headers.items()}
    ).request_headers(URL)


@pytest.mark.parametrize("etag", ['"abc"', 'W/"abc"', '""', '"a-b"'])
def test_an_entity_tag_is_asked_with(etag: str) -> None:
    assert conditions(etag=etag) == {"if-none-match": etag}


@pytest.mark.parametrize("etag", ["abc", '"a b"', '"é"', '"a', '"' + "x" * 2000 + '"', "*", '"a"\r\nx: y'])
def test_what_is_no_entity_tag_is_not_sent_back(etag: str) -> None:
    assert conditions(etag=etag) == {}


def test_a_modification_time_counts_once_the_document_has_rested_for_two_seconds() -> None:
    assert conditions(last_modified=NOON, date=TWO_LATER) == {"if-modified-since": NOON}


@pytest.mark.parametrize("date", [NOON, ONE_LATER])
def test_a_modification_time_of_the_same_second_or_the_next_is_not_asked_with(date: str) -> None:
    assert conditions(last_modified=NOON, date=date) == {}


def test_a_modification_time_without_a_date_or_in_the_future_is_not_asked_with() -> None:
    assert conditions(last_modified=NOON) == {}
    assert conditions(last_modified=TWO_LATER, date=NOON) == {}
    assert conditions(last_modified="yesterday", date=NOON) == {}


def test_the_tag_decides_where_there_are_both() -> None:
    assert conditions(etag='"a"', last_modified=NOON, date=TWO_LATER) == {"if-none-match": '"a"'}


def test_a_tag_made_of_the_modification_time_is_no_better_than_the_time() -> None:
    timed = f'"{int(datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()):x}-1f"'
    assert conditions(etag=timed, last_modified=NOON, date=ONE_LATER) == {}
    assert conditions(etag="W/" + timed, last_modified=NOON, date=ONE_LATER) == {}
    assert conditions(etag=timed, last_modified=NOON, date=TWO_LATER) == {"if-none-match": timed}
    assert conditions(etag='"1-1f"', last_modified=NOON, date=ONE_LATER) == {"if-none-match": '"1-1f"'}
    assert conditions(etag='"abc"', last_modified=NOON, date=NOON) == {"if-none-match": '"abc"'}


def test_validators_of_one_url_are_not_used_for_another() -> None:
    validators = Validators.of(URL, {"etag": '"a"'})
    assert validators.request_headers("http://b/") == {}


def test_nothing_known_is_asked_with_nothing() -> None:
    assert Validators().request_headers("") == {}
    assert Validators().request_headers(URL) == {}


@pytest.mark.parametrize(
    "written",
    [NOON, "Thursday, 01-Jan-26 12:00:00 GMT", "Thu Jan  1 12:00:00 2026", "Thu, 01 Jan 2026 13:00:00 +0100"],
)
def test_all_forms_of_http_dates_are_understood(written: str) -> None:
    assert http_date(written) == datetime(2026, 1, 1, 12, tzinfo=UTC)


@given(st.none() | st.text())
def test_any_text_is_a_date_or_none(written: str | None) -> None:
    date = http_date(written)
    assert date is None or date.tzinfo is not None


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": TWO_LATER, "date": NOON}, 2.0),
        ({"retry-after": NOON, "date": TWO_LATER}, 0.0),
        ({"retry-after": "Thu, 01 Jan 2026 00:01:00 GMT"}, 60.0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 -2359", "date": NOON}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_against_the_servers_own_clock(
    headers: dict[str, str], expected: float | None
) -> None:
    assert retry_after(headers, NOW) == expected
