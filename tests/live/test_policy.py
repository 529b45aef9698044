"""Policies as they are asked for."""

from __future__ import annotations

import pytest

from mcptrio.live.policy import CONFLATE, EVERY, InvalidPolicy, batch, parse_policy


def test_each_of_them_is_understood() -> None:
    assert parse_policy("conflate") == CONFLATE
    assert parse_policy("every") == EVERY
    assert parse_policy({"batch": {"windowMs": 200, "maxWaitMs": 1000}}) == batch(0.2, 1.0)
    assert parse_policy({"batch": {"windowMs": 1, "maxWaitMs": 1}}) == batch(0.001, 0.001)
    assert parse_policy({"batch": {"windowMs": 60_000, "maxWaitMs": 600_000}}) == batch(60, 600)
    assert (CONFLATE.merges, EVERY.merges, batch(1, 2).merges) == (True, False, True)


FORMS = r'"conflate", "every", or \{"batch": \{"windowMs": \.\.\., "maxWaitMs": \.\.\.\}\}'


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("all", f"here: {FORMS}, not 'all'"),
        (None, f"here: {FORMS}, not null"),
        (["every"], f"here: {FORMS}, not a list of 1"),
        ({}, f"here: {FORMS}, not an empty object"),
        (
            {"batch": {"windowMs": 1, "maxWaitMs": 1}, "every": {}},
            f"here: {FORMS}, not an object with 'batch', 'every'",
        ),
        ({"batch": 200}, r"here\.batch: an object of exactly windowMs and maxWaitMs, not 200"),
        (
            {"batch": {"windowMs": 200}},
            r"here\.batch: an object of exactly windowMs and maxWaitMs, not an object with 'windowMs'$",
        ),
        ({"batch": {"windowMs": 1, "maxWaitMs": 1, "more": 1}}, r"here\.batch: an object of exactly"),
    ],
)
def test_what_is_no_policy_is_refused_with_its_place(policy: object, message: str) -> None:
    with pytest.raises(InvalidPolicy, match=f"^{message}"):
        parse_policy(policy, "here")


@pytest.mark.parametrize(
    ("window", "max_wait", "message"),
    [
        (0, 5, r"windowMs: a whole number from 1 to 60000, not 0"),
        (60_001, 600_000, r"windowMs: a whole number from 1 to 60000, not 60001"),
        (1.5, 5, r"windowMs: a whole number from 1 to 60000, not 1\.5"),
        (True, 5, r"windowMs: a whole number from 1 to 60000, not true"),
        ("1", 5, r"windowMs: a whole number from 1 to 60000, not '1'"),
        (200, 199, r"maxWaitMs: a whole number from 200 to 600000, not 199"),
        (200, 600_001, r"maxWaitMs: a whole number from 200 to 600000, not 600001"),
        pytest.param(200, 10**4000, r"maxWaitMs: .* not a number of very many digits", id="huge"),
        (200, None, r"maxWaitMs: a whole number from 200 to 600000, not null"),
    ],
)
def test_times_are_whole_milliseconds_within_bounds(window: object, max_wait: object, message: str) -> None:
    with pytest.raises(InvalidPolicy, match=rf"^here\.batch\.{message}$"):
        parse_policy({"batch": {"windowMs": window, "maxWaitMs": max_wait}}, "here")
