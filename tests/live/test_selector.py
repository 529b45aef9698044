"""Which URIs a selector is about, and which selectors are refused with what words."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from mcptrio.catalog import DeclarationError, UriTemplate
from mcptrio.live.selector import MAX_WILDCARDS, InvalidSelector, Selector, parse_selector
from mcptrio.live.uri import MAX_URI_LENGTH

GLOBS = st.lists(st.sampled_from(["a", "b", "/", "-", "*", "**", "***", "?", "#"]), max_size=10).map(
    lambda parts: "a:" + "".join(parts)
)
TEMPLATES = st.lists(st.sampled_from(["a", "b", "/", "-", "{}", "{+}", "?", "#", "%41"]), max_size=8).map(
    lambda parts: "a:" + "".join(part.replace("}", f"v{n}}}") for n, part in enumerate(parts))
)
URIS = st.text("ab/-?#&", max_size=14).map(lambda rest: "a:" + rest)


def as_expression(kind: str, text: str) -> re.Pattern[str]:
    """A selector as a regular expression, naively."""
    if kind == "glob":
        wildcards = {"*": "[^/]*", "?": "[^/]"}
        pieces = [
            wildcards.get(part, ".*" if part[:2] == "**" else re.escape(part))
            for part in re.split(r"(\*+|\?)", text)
        ]
    else:
        pieces = [
            re.escape(part) if part[:1] != "{" else ".+" if part[1] == "+" else "[^/?#]+"
            for part in re.split(r"(\{.*?\})", text)
        ]
    return re.compile("".join(pieces), re.DOTALL)


def parsed(kind: str, text: str) -> Selector:
    try:
        return parse_selector({kind: text})
    except InvalidSelector:
        assume(False)
        raise


@settings(max_examples=500)
@given(
    selected=st.tuples(st.just("glob"), GLOBS) | st.tuples(st.just("template"), TEMPLATES),
    uris=st.lists(URIS, min_size=1, max_size=5),
)
@example(selected=("glob", "a:?*?/**"), uris=["a:ab/", "a:a/", "a:ab/a/b"])
def test_a_selector_matches_what_a_regular_expression_of_it_does(
    selected: tuple[str, str], uris: list[str]
) -> None:
    selector = parsed(*selected)
    expression = as_expression(*selected)
    for uri in uris:
        assert selector.matches(uri) == (expression.fullmatch(uri) is not None), uri


@settings(max_examples=300)
@given(text=TEMPLATES, uris=st.lists(URIS | st.just("a:%41/%C3%BC"), min_size=1, max_size=5))
@example(text="a:{b}-{+c}", uris=["a:a-b-a/b"])
def test_all_that_a_resource_template_serves_is_selected_by_a_template_of_its_text(
    text: str, uris: list[str]
) -> None:
    selector = parsed("template", text)
    try:
        template = UriTemplate(text)
    except DeclarationError:
        assume(False)
    for uri in uris:
        assert selector.matches(uri) or template.match(uri) is None


@pytest.mark.parametrize(
    ("selector", "matched", "unmatched"),
    [
        (
            {"uri": "mail://inbox/1"},
            ["mail://inbox/1"],
            ["mail://inbox/", "mail://inbox/11", "mail://INBOX/1"],
        ),
        ({"uri": "a:*?"}, ["a:*?"], ["a:b?", "a:*"]),
        (
            {"template": "mail://{folder}/{id}"},
            ["mail://inbox/1"],
            ["mail://inbox/", "mail://a/b/c", "mail://a/b?c"],
        ),
        ({"template": "file:///{+path}"}, ["file:///a", "file:///a/b?c#d"], ["file:///"]),
        ({"template": "a:{b}{c}"}, ["a:xy", "a:xyz"], ["a:x"]),
        ({"template": "a:*{b}"}, ["a:*x"], ["a:yx"]),
        (
            {"glob": "mail://inbox/*"},
            ["mail://inbox/1", "mail://inbox/"],
            ["mail://inbox/1/2", "mail://inbox"],
        ),
        ({"glob": "mail://**"}, ["mail://", "mail://inbox/1/2"], ["mails://a"]),
        ({"glob": "**/*.py"}, ["file:///a/b.py", "a:/.py"], ["file:///a/b.pyc", "a:b.py"]),
        ({"glob": "a:b?c"}, ["a:bxc", "a:b?c"], ["a:bc", "a:b/c", "a:bxxc"]),
        ({"glob": "*"}, ["urn:isbn:1"], ["mail://inbox"]),
        ({"glob": "mail*:a"}, ["mail:a", "mailto:a"], ["a:mail:a"]),
        ({"glob": "a:b"}, ["a:b"], ["a:bb"]),
    ],
)
def test_what_is_selected(selector: dict[str, str], matched: list[str], unmatched: list[str]) -> None:
    parse = parse_selector({"label": "inbox", "filter": None, **selector})
    assert [uri for uri in matched if not parse.matches(uri)] == []
    assert [uri for uri in unmatched if parse.matches(uri)] == []
    assert {parse.kind: parse.text} == selector


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("mail://a", "here: must be an object"),
        ({}, "here: give exactly one of uri, template and glob; there is none of them"),
        (
            {"glob": "a:*", "uri": "a:b"},
            "here: give exactly one of uri, template and glob; there is uri and glob",
        ),
        ({"uri": None}, "here.uri: must be a string"),
        ({"glob": ["a:*"]}, "here.glob: must be a string"),
        ({"uri": ""}, "here.uri: the URI is empty"),
        ({"glob": ""}, "here.glob: the URI is empty"),
        ({"template": ""}, "here.template: the URI is empty"),
        (
            {"uri": "{a}"},
            "here.uri: '{' at position 0 may not stand in a URI: percent-encode it (urllib.parse.quote)",
        ),
        ({"glob": "a:*" + "b" * MAX_URI_LENGTH}, "here.glob: has 2051 characters, at most 2048 are allowed"),
        (
            {"glob": "inbox/*"},
            "here.glob: is not absolute: begin with a scheme, such as email://, or a wildcard",
        ),
        ({"glob": "1*"}, "here.glob: is not absolute: begin with a scheme, such as email://, or a wildcard"),
        (
            {"template": "/{a}"},
            "here.template: is not absolute: begin with a scheme, such as email://, or a wildcard",
        ),
        ({"glob": "a:{b,c}"}, "here.glob: '{' at position 2: a glob has no braces: give a template"),
        (
            {"glob": "a:*[0-9]"},
            "here.glob: '[' at position 3: a glob has no classes: `?` stands for any one character",
        ),
        ({"glob": "a:* b"}, "here.glob: ' ' at position 3 may not stand in a URI: percent-encode it"),
        (
            {"glob": "a:*\u2028"},
            "here.glob: '\\u2028' at position 3 may not stand in a URI: percent-encode it",
        ),
        (
            {"template": "a:{b}/é"},
            "here.template: '\\xe9' at position 6 may not stand in a URI: percent-encode it",
        ),
        ({"template": "a:{b}/{c"}, "here.template: the brace at position 6 has no partner"),
        ({"template": "a:{b}}"}, "here.template: the brace at position 5 has no partner"),
        ({"template": "a:{b}{?c}"}, "here.template: '{?c}' at position 5 is neither {name} nor {+name}"),
        ({"template": "a:{b,c}"}, "here.template: '{b,c}' at position 2 is neither {name} nor {+name}"),
        ({"template": "a:{}"}, "here.template: '{}' at position 2 is neither {name} nor {+name}"),
        (
            {"template": "a:{b}/{+b}"},
            "here.template: '{+b}' at position 6: each variable may stand there once",
        ),
        ({"glob": "a:" + "*b" * 17}, "here.glob: has 17 wildcards, at most 16 are allowed"),
    ],
)
def test_what_selects_nothing_is_refused_naming_the_part(value: object, message: str) -> None:
    with pytest.raises(InvalidSelector, match=f"^{re.escape(message)}$"):
        parse_selector(value, "here")


def test_the_bounds_are_allowed() -> None:
    parse_selector({"glob": "a:" + "*b" * MAX_WILDCARDS})
    parse_selector({"glob": "a:" + "?" * (MAX_URI_LENGTH - 2)})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"template": "mail://{folder}/{id}"}, {"template": "mail://{a}/{b.c}"}),
        ({"glob": "a:**"}, {"glob": "a:***"}),
        ({"glob": "a:b"}, {"uri": "a:b"}),
        ({"template": "a:b"}, {"uri": "a:b"}),
    ],
)
def test_one_meaning_has_one_pattern(one: object, other: object) -> None:
    assert parse_selector(one).pattern == parse_selector(other).pattern


@given(
    kind=st.sampled_from(["uri", "template", "glob"]),
    text=st.text(max_size=30) | GLOBS | TEMPLATES,
    uri=st.text(),
)
def test_any_text_is_a_selector_or_is_refused_in_one_line(kind: str, text: str, uri: str) -> None:
    try:
        selector = parse_selector({kind: text})
    except InvalidSelector as error:
        assert str(error).isprintable()
    else:
        selector.matches(uri)
        assert selector.is_exact == ("{" not in selector.pattern)
        # The parts, which alone decide what matches, can be told from the pattern: equal patterns match the same.
        assert tuple(filter(None, re.split(r"(\{.*?\})", selector.pattern))) == selector.parts


@pytest.mark.parametrize("piece", ["*a", "**a", "?*a", "**a?", "a*"])
def test_no_glob_takes_long_on_what_it_nearly_matches(piece: str) -> None:
    # By trying one end after the other this would not end before the sun does.
    selector = parse_selector({"glob": "a:" + piece * (MAX_WILDCARDS // 2) + "b"})
    assert not selector.matches("a:" + "a" * (MAX_URI_LENGTH - 2))
