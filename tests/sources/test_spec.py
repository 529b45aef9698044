"""What a source's declaration says, and what is refused with the change to make."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable

import pytest

from mcptrio.catalog import DeclarationError
from mcptrio.live import Feed
from mcptrio.sources import LINGER, SourceSpec


async def whole(feed: Feed) -> None: ...


async def city(feed: Feed, city: str) -> None: ...


async def day(feed: Feed, city: str, day: int, interval: float = 5.0) -> None: ...


class Weather:
    async def watch(self, feed, city: str) -> None:  # type: ignore[no-untyped-def]
        """The feed needs no annotation: it is the first one."""


def each(run: Callable[..., object], *patterns: str) -> SourceSpec:
    return SourceSpec("s", run, patterns, always=False, each=True)  # type: ignore[arg-type]


def test_a_uri_fits_a_source_when_it_fits_one_of_its_patterns() -> None:
    spec = SourceSpec("s", whole, ("a://{x}", "b://fixed"), always=False)
    assert spec.values("a://1") == {}
    assert spec.values("b://fixed") == {}
    assert spec.values("b://other") is None
    assert SourceSpec("s", whole).values("a://1") is None
    assert spec.linger == LINGER == 30.0


def test_the_variables_of_a_source_for_each_uri_are_converted_by_its_hints() -> None:
    spec = each(day, "w://{city}/{day}")
    assert spec.values("w://new%20york/3") == {"city": "new york", "day": 3}
    assert spec.values("w://oslo/three") is None
    assert spec.values("w://oslo") is None

    async def dated(feed: Feed, on: datetime.date) -> None: ...

    assert each(dated, "d://{on}").values("d://2026-01-02") == {"on": datetime.date(2026, 1, 2)}


def test_a_pattern_matches_only_what_converts() -> None:
    [template] = each(day, "w://{city}/{day}").templates
    assert template.match("w://oslo/3") == {"city": "oslo", "day": "3"}
    assert template.match("w://oslo/three") is None


def test_variables_may_be_absent_where_there_is_a_default() -> None:
    async def query(feed: Feed, city: str, unit: str = "celsius") -> None: ...

    spec = each(query, "w://{city}{?unit}", "v://{city}")
    assert spec.values("w://oslo") == {"city": "oslo"} | {"unit": "celsius"}
    assert spec.values("w://oslo?unit=kelvin") == {"city": "oslo", "unit": "kelvin"}
    assert spec.values("v://oslo") == {"city": "oslo", "unit": "celsius"}


def test_the_feed_is_the_first_parameter_of_whatever_is_called() -> None:
    assert each(Weather().watch, "w://{city}").values("w://oslo") == {"city": "oslo"}


@pytest.mark.parametrize("path", ["../secret", "a/../../b", "%2Fetc/passwd", "/etc/passwd", "a%00b"])
def test_a_file_pattern_leads_nowhere_else(path: str) -> None:
    async def file(feed: Feed, path: str) -> None: ...

    spec = each(file, "file:///srv/{+path}")
    assert spec.values("file:///srv/a/b.txt") == {"path": "a/b.txt"}
    assert spec.values(f"file:///srv/{path}") is None


async def unannotated(feed: Feed, city) -> None: ...  # type: ignore[no-untyped-def]


async def extra(feed: Feed, city: str, pool: object) -> None: ...


async def unstringable(feed: Feed, city: dict[str, int]) -> None: ...


async def keywords(feed: Feed, **values: str) -> None: ...


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SourceSpec("s", whole, ("a://{",)), "URI template 'a://{'"),
        (lambda: SourceSpec("s", whole, ("a",)), "must begin with a scheme"),
        (lambda: SourceSpec("s", whole, linger=-1), "linger is -1, but must be a number of seconds, from 0"),
        (lambda: SourceSpec("s", whole, linger=float("inf")), "linger is inf"),
        (lambda: SourceSpec("s", whole, linger=float("nan")), "linger is nan"),
        (lambda: SourceSpec("s", whole, linger="30s"), "linger is '30s'"),  # type: ignore[arg-type]
        (lambda: SourceSpec("s", whole, most=5), "most is the number of tasks of each=True; leave it out"),
        (
            lambda: SourceSpec("s", city, ("w://{city}",), always=False, each=True, most=0),
            "most is 0, but must be a number of tasks, from 1",
        ),
        (lambda: SourceSpec("s", whole, always=False), "without a pattern nothing would ever start it"),
        (lambda: SourceSpec("s", city, each=True), "give the pattern of those URIs"),
        (lambda: SourceSpec("s", city, ("w://{city}",), always=True, each=True), "leave out always=True"),
        (lambda: each(whole, "w://oslo"), "'w://oslo' has no variables"),
        (lambda: each(city, "w://{city}", "w://oslo"), "'w://oslo' has no variables"),
        (
            lambda: each(whole, "w://{city}"),
            "the variable `city` of 'w://{city}' has no parameter; add `city: str`",
        ),
        (lambda: each(day, "w://{city}"), "parameter `day` is no variable of 'w://{city}'"),
        (
            lambda: each(day, "w://{city}/{day}", "v://{city}"),
            "parameter `day` is no variable of 'v://{city}'",
        ),
        (lambda: each(unannotated, "w://{city}"), "parameter `city` has no annotation"),
        (lambda: each(extra, "w://{city}"), "parameter `pool` is no variable"),
        (lambda: each(unstringable, "w://{city}"), "parameter `city` arrives as a string"),
        (lambda: each(keywords, "w://{city}"), "**values"),
    ],
)
def test_what_cannot_work_is_refused_with_the_function_and_the_change(
    make: Callable[[], SourceSpec], said: str
) -> None:
    with pytest.raises(DeclarationError, match=re.escape(said)):
        make()


def test_a_refusal_names_the_function() -> None:
    with pytest.raises(DeclarationError, match=r"test_spec\.city: "):
        SourceSpec("s", city, each=True)
