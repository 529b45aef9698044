"""Matching URIs against templates: the reverse of `uritemplate.expand`."""

from __future__ import annotations

import time
from urllib.parse import unquote

import pytest
import uritemplate
from hypothesis import assume, given
from hypothesis import strategies as st

from mcptrio.catalog import DeclarationError, UriTemplate, has_variables
from mcptrio.live.uri import MAX_URI_LENGTH as MAX_URI

NO_SURROGATES = st.characters(exclude_categories=["Cs"])
TEXT = st.text(NO_SURROGATES, min_size=1, max_size=20)
# uritemplate leaves what looks percent-encoded as it is in {+var} and {#var}, so that it cannot come back.
RESERVED_TEXT = TEXT.filter(lambda text: unquote(text) == text and "%" not in text)


@pytest.mark.parametrize(
    ("template", "uri", "values"),
    [
        ("weather://{city}", "weather://oslo", {"city": "oslo"}),
        ("weather://{city}", "weather://S%C3%A3o%20Paulo", {"city": "São Paulo"}),
        ("weather://{city}", "weather://são", {"city": "são"}),
        ("weather://{city}", "weather://", None),
        ("weather://{city}", "weather://oslo/today", None),
        ("weather://{city}", "weather://oslo?x=1", None),
        ("weather://{city}", "weather://a b", None),
        ("weather://{city}", "weather://oslo\n", None),
        ("weather://{city}", "Weather://oslo", None),
        ("weather://{city}", "weather://100%", None),
        ("weather://{city}", "weather://%FF", None),
        ("mail://messages/{id}", "mail://messages/<a@b.example>", {"id": "<a@b.example>"}),
        ("mail://messages/{id}", "mail://messages/a%2Fb", {"id": "a/b"}),
        ("x://{a}/{b}", "x://1/2", {"a": "1", "b": "2"}),
        ("x://{a}-{b}", "x://1-2-3", {"a": "1", "b": "2-3"}),
        ("x://{a}--{b}--{c}", "x://1-2--3--4", {"a": "1-2", "b": "3", "c": "4"}),
        ("x://{a}2{b}", "x://%202b", {"a": " ", "b": "b"}),
        ("x://{id}.json", "x://a.json.json", {"id": "a.json"}),
        ("x://{id}.json", "x://a.xml", None),
        ("x://{lat,lon}", "x://59.9,10.7", {"lat": "59.9", "lon": "10.7"}),
        ("x://{lat,lon}", "x://59.9", {"lat": "59.9"}),
        ("x://{lat,lon}/now", "x://1,2/now", {"lat": "1", "lon": "2"}),
        ("file:///{+path}", "file:///a/b?c#d", {"path": "a/b?c#d"}),
        ("file:///{+path}/{name}", "file:///a/b/c", {"path": "a/b", "name": "c"}),
        ("file:///{+path}{?at}", "file:///a/b?at=1", {"path": "a/b", "at": "1"}),
        ("file:///{+path}{#line}", "file:///a/b#7", {"path": "a/b", "line": "7"}),
        ("x:///{+a,b}", "x:///1/2,3", {"a": "1/2", "b": "3"}),
        ("x://h{/a,b}", "x://h", {}),
        ("x://h{/a,b}", "x://h/", {"a": ""}),
        ("x://h{/a,b}", "x://h/1", {"a": "1"}),
        ("x://h{/a,b}", "x://h/1,5/2", {"a": "1,5", "b": "2"}),
        ("x://h{/a,b}", "x://h/1/2/3", None),
        ("x://h{/a}/end{/b}", "x://h/1/end", {"a": "1"}),
        ("x://h{/a}/end{/b}", "x://h/end/2", {"b": "2"}),
        ("x://{name}{.ext}", "x://read.tar.gz", {"name": "read", "ext": "tar.gz"}),
        ("x://{name}{.ext}", "x://read", {"name": "read"}),
        ("x://h{.a,b}", "x://h.1.2", {"a": "1", "b": "2"}),
        ("x://h{#part}", "x://h#a/b", {"part": "a/b"}),
        ("x://h{#part}", "x://h", {}),
        ("x://h{?a,b}", "x://h", {}),
        ("x://h{?a,b}", "x://h?", {}),
        ("x://h{?a,b}", "x://h?b=2&a=1", {"a": "1", "b": "2"}),
        ("x://h{?a,b}", "x://h?a=x%26y", {"a": "x&y"}),
        ("x://h{?a,b}", "x://h?a", {"a": ""}),
        ("x://h{?a,b}", "x://h?a=1&a=2", None),
        ("x://h{?a,b}", "x://h?c=1", None),
        ("x://h{?a,b}", "x://h?a=%FF", None),
        ("x://h{?a}", "x://h?a=1#f", None),
        ("x://{city}{?a}", "x://oslo?a=1", {"city": "oslo", "a": "1"}),
        ("x://{city}{/day}", "x://oslo/mon", {"city": "oslo", "day": "mon"}),
        ("x://h?q={q}&r={r}", "x://h?q=1&r=2", {"q": "1", "r": "2"}),
        ("x://h?q={q}", "x://h?q=1&z=2", None),
        ("x://h?q={q}{&r}", "x://h?q=1&r=2", {"q": "1", "r": "2"}),
        ("x://h?q={q}{&r}", "x://h?q=1", {"q": "1"}),
        ("x://fixed", "x://fixed", {}),
        ("x://fixed", "x://fixed2", None),
    ],
)
def test_a_uri_gives_its_variables_or_no_match(
    template: str, uri: str, values: dict[str, str] | None
) -> None:
    assert values == UriTemplate(template).match(uri)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{city}", "begin with a scheme"),
        ("weather", "begin with a scheme"),
        ("weather://{city", "no partner"),
        ("weather://city}", "no partner"),
        ("weather://{{city}}", "no partner"),
        ("weather://{}", "no variable name"),
        ("weather://{city:3}", "no variable name"),
        ("weather://{city*}", "no variable name"),
        ("weather://{a=b}", "no variable name"),
        ("weather://{a, b}", "spaces"),
        ("weather://a b", "spaces"),
        ("weather://{;city}", "operator"),
        ("weather://{|city}", "operator"),
        ("weather://{city}/{city}", "once"),
        ("weather://{a}{b}", "literal between"),
        ("weather://{/a}{b}", "literal between"),
        ("weather://{+a}{b}", "literal between"),
        ("weather://{+a}{/b}", "literal between"),
        ("weather://{+a}-{+b}-{c}", "only one"),
        ("weather://{a}{.b}{.c}", "only one"),
        ("weather://{?a}/x", "at the end"),
        ("weather://{#a}{?b}", "at the end"),
        ("weather://h?x=1{?a}", "continues"),
        ("weather://h{&a}", "continues"),
    ],
)
def test_a_template_that_cannot_be_matched_is_refused_with_its_reason(template: str, message: str) -> None:
    with pytest.raises(DeclarationError, match=message) as caught:
        UriTemplate(template)
    assert template in str(caught.value)


@given(TEXT, TEXT)
def test_percent_encoded_values_come_back(first: str, second: str) -> None:
    template = UriTemplate("x://{a}/{b}")
    values = {"a": first, "b": second}
    assert values == template.match(uritemplate.expand(template.text, a=first, b=second))


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.text(NO_SURROGATES, max_size=20)))
def test_query_values_come_back_whichever_are_given(values: dict[str, str]) -> None:
    template = UriTemplate("x://h{?a,b,c}")
    assert values == template.match(template.expand(values))


@given(RESERVED_TEXT, RESERVED_TEXT.filter(lambda text: "/" not in text))
def test_reserved_values_come_back(path: str, name: str) -> None:
    template = UriTemplate("file:///{+path}/{name}")
    values = {"path": path, "name": name}
    assert values == template.match(template.expand(values))


OPERATORS = [
    "{a}",
    "{+a}",
    "{.a}",
    "{/a}",
    "{#a}",
    "{?a,b}",
    "{a,b}",
    "{/a,b}",
    "{a}-{b}",
    "{a}{/b}",
    "{a}{.b}",
]
OPERATORS += [
    "{a}{?b}",
    "{a}.json",
    "{a}/{b}",
    "{+a}/{b}",
    "{a}--{b}.x",
    "{/a}/e{/b}",
    "{+a}{?b}",
    "{.a}{/b}",
]


@given(st.sampled_from(OPERATORS), RESERVED_TEXT, RESERVED_TEXT)
def test_whatever_a_template_expands_to_matches_and_expands_to_the_same_again(
    expressions: str, first: str, second: str
) -> None:
    # A `{+a}` before a query holds no question mark: there the query begins.
    assume(expressions != "{+a}{?b}" or not set("?#") & set(first))
    template = UriTemplate("x://h/" + expressions)
    uri = template.expand({"a": first, "b": second})
    values = template.match(uri)
    assert values is not None
    assert template.expand(values) == uri


@given(st.sampled_from(OPERATORS), st.text(max_size=60))
def test_any_text_matches_or_does_not(expressions: str, text: str) -> None:
    template = UriTemplate("x://h/" + expressions)
    values = template.match("x://h/" + text)
    assert values is None or set(values) <= set(template.variables)


@pytest.mark.parametrize("expressions", OPERATORS)
@pytest.mark.parametrize("noise", ["-", "/", ".", ",", "--", "a", "-.", "%20", "&"])
def test_a_long_hostile_uri_is_decided_soon(expressions: str, noise: str) -> None:
    """No figure, only no explosion: a cubic matcher would take minutes here."""
    template = UriTemplate("x://" + expressions)
    begin = time.perf_counter()
    template.match(("x://" + noise * MAX_URI)[: MAX_URI - 1] + "#")
    assert time.perf_counter() - begin < 2


def test_a_uri_beyond_the_bound_matches_nothing() -> None:
    template = UriTemplate("x://{a}")
    assert template.match("x://" + "a" * (MAX_URI - 4)) is not None
    assert template.match("x://" + "a" * (MAX_URI - 3)) is None


def test_a_template_knows_its_variables_in_order_and_shows_its_text() -> None:
    template = UriTemplate("x://{b}/{a}{?c}")
    assert template.variables == ("b", "a", "c")
    assert repr(template) == "UriTemplate('x://{b}/{a}{?c}')"


def test_a_brace_makes_a_template() -> None:
    assert has_variables("weather://{city}")
    assert has_variables("weather://city}")
    assert not has_variables("weather://oslo")
