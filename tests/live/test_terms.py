"""What a client asks for with one subscription: understood, or refused with the place of the fault."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.live import Terms
from mcptrio.live.cursor import Cursor
from mcptrio.live.policy import CONFLATE, EVERY
from mcptrio.live.terms import InvalidTerms, parse_terms

EPOCH = "9f2c51d07a3b4e68"
ALL: dict[str, object] = {
    "label": "inbox",
    "template": "mail://{folder}/{id}",
    "filter": {"and": [{"kind": ["created"]}, {"eq": {"/from": "ada@example.org"}}]},
    "policy": "every",
    "fields": ["/subject", "/from"],
    "since": f"{EPOCH}.1042",
}


def test_all_that_can_be_asked_for_is_understood() -> None:
    terms = parse_terms(ALL, "here")
    assert (terms.label, terms.selector.kind, terms.selector.text) == ("inbox", "template", ALL["template"])
    assert (terms.policy, terms.since, terms.nodes) == (EVERY, Cursor(EPOCH, 1042), 3)
    assert terms.fields.key == ("/subject", "/from")
    assert terms.filter is not None
    honoured = terms.honoured(Cursor(EPOCH, 7), recovered=True)
    expected = {**ALL, "cursor": f"{EPOCH}.7", "recovered": True}
    del expected["since"]
    assert list(honoured.items()) == list(expected.items())


def test_what_is_not_given_is_the_default_and_is_said() -> None:
    for given_too in ({}, {"filter": None, "policy": None, "fields": None, "since": None, "glob": None}):
        terms = parse_terms({"label": "a", "uri": "a:1", **given_too, "unknown": [1]}, "here")
        assert (terms.policy, terms.fields.key, terms.filter, terms.since) == (CONFLATE, "none", None, None)
        assert terms.nodes == 0
        assert terms.honoured(Cursor(EPOCH, 0)) == {
            "label": "a",
            "uri": "a:1",
            "policy": "conflate",
            "fields": "none",
            "cursor": f"{EPOCH}.0",
        }


def test_what_was_given_is_not_changed() -> None:
    given: dict[str, object] = {"label": "a", "uri": "a:1"}
    parse_terms(given, "here")
    assert given == {"label": "a", "uri": "a:1"}


@pytest.mark.parametrize("label", ["a", "A-Z_a.z-0-9", "x" * 64, "...", ".a", "a..", "0"])
def test_a_label_is_of_these_characters(label: str) -> None:
    assert parse_terms({"label": label, "uri": "a:1"}, "here").label == label


LABEL = r"here\.label: 1 to 64 characters of A-Z a-z 0-9 \. _ -, but neither \. nor \.\., not"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"label": None}, f"{LABEL} null"),
        ({"label": ""}, f"{LABEL} ''$"),
        ({"label": "x" * 65}, f"{LABEL} '{'x' * 40}'\\.\\.\\. \\(65 characters\\)$"),
        ({"label": "a b"}, f"{LABEL} 'a b'$"),
        ({"label": "."}, f"{LABEL} '\\.'$"),
        ({"label": ".."}, f"{LABEL} '\\.\\.'$"),
        ({"label": "a\n"}, rf"{LABEL} 'a\\n'$"),
        ({"label": "ä"}, f"{LABEL} 'ä'$"),
        ({"label": 1}, f"{LABEL} 1$"),
        ({"template": None}, r"here: give exactly one of uri, template and glob; there is none of them"),
        ({"glob": "a:*"}, r"here: give exactly one of uri, template and glob; there is template and glob"),
        ({"template": 7}, r"here\.template: must be a string"),
        ({"template": "mail://{a"}, r"here\.template: the brace at position 7 has no partner"),
        ({"filter": {}}, r"here\.filter: a filter has exactly one member, not 0"),
        (
            {"filter": {"and": [{"kind": "a"}, {"eq": {"a": 1}}]}},
            r"here\.filter\.and\[1\]\.eq: 'a' is no JSON",
        ),
        ({"filter": False}, r"here\.filter: a filter is an object, not false"),
        ({"policy": "some"}, r"here\.policy: "),
        ({"policy": {"batch": {"windowMs": 0, "maxWaitMs": 1}}}, r"here\.policy\.batch\.windowMs: "),
        ({"fields": "some"}, r"here\.fields: "),
        ({"fields": ["a"]}, r"here\.fields\[0\]: "),
        ({"since": 1042}, r"here\.since: a cursor is a string, not 1042"),
        ({"since": "1042"}, r"here\.since: '1042' is no cursor of an earlier answer"),
        ({"since": f"{EPOCH}.-1"}, rf"here\.since: '{EPOCH}\.-1' is no cursor"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(changed: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidTerms, match=f"^{message}"):
        parse_terms({**ALL, **changed}, "here")


@pytest.mark.parametrize("value", [None, [], "inbox", 1, True])
def test_a_subscription_is_an_object(value: object) -> None:
    with pytest.raises(InvalidTerms, match=r"^here: an object, not "):
        parse_terms(value, "here")


HOSTILE = [
    "\x1b\0" * 5000,
    {"\x1b[2J" * 5000: 1},
    dict.fromkeys(map(str, range(500))),
    [None] * 500,
    10**4000,
    -1e300,
]


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_is_refused_the_message_is_short_and_can_be_printed(value: object) -> None:
    places = [
        {name: value} for name in ("label", "template", "uri", "filter", "policy", "fields", "since", "x")
    ]
    batch = {"batch": {"windowMs": value, "maxWaitMs": value}}
    places += [{"fields": [value]}, {"policy": batch}, {"policy": {"batch": value}}]
    places += [{"filter": {name: value}} for name in ("kind", "and", "not", "eq", "exists")]
    places += [{"filter": {name: {"/a": value}}} for name in ("eq", "in", "lt", "glob")]
    for changed in places:
        try:
            parse_terms({**ALL, **changed}, "here")
        except InvalidTerms as error:
            assert str(error).isprintable()
            assert len(str(error)) < 1200
    with pytest.raises(InvalidTerms) as caught:
        parse_terms({**ALL, "label": value}, "here")
    assert str(caught.value).isprintable()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "label": st.just("a") | JSON,
        "uri": st.just("a:1") | JSON,
        "template": st.just("a:{x}") | JSON,
        "glob": st.just("a:*") | JSON,
        "filter": st.sampled_from([{"kind": "created"}, {"not": {"exists": "/a"}}]) | JSON,
        "policy": st.sampled_from(["every", {"batch": {"windowMs": 2, "maxWaitMs": 3}}])
        | JSON
        | st.fixed_dictionaries({"batch": st.fixed_dictionaries({"windowMs": JSON, "maxWaitMs": JSON})}),
        "fields": st.sampled_from(["all", ["/a", ""]]) | JSON,
        "since": st.sampled_from([f"{EPOCH}.1"]) | JSON,
    },
)


@given(value=NEARLY | JSON)
def test_any_json_is_a_subscription_or_is_refused_and_what_was_honoured_is_honoured_again(
    value: object,
) -> None:
    try:
        terms = parse_terms(value, "here")
    except InvalidTerms as error:
        assert str(error).startswith("here")
        assert len(str(error)) < 1000
        assert str(error).isprintable()
        return
    assert isinstance(terms, Terms)
    honoured = json.loads(msgspec.json.encode(terms.honoured(Cursor(EPOCH, 7), recovered=False)))
    again = parse_terms({**honoured, "since": honoured["cursor"]}, "here")
    assert again.honoured(Cursor(EPOCH, 7), recovered=False) == honoured
    assert (again.selector, again.policy, again.fields.key) == (
        terms.selector,
        terms.policy,
        terms.fields.key,
    )
    assert (again.filter and again.filter.key) == (terms.filter and terms.filter.key)
