"""From messages to facts; whatever a message is, it becomes an event or a reason."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.live import check_uri
from mcptrio.sources.websocket.route import Route
from mcptrio.sources.websocket.router import BadMessage, Router

ROUTER = Router(
    [
        Route(type="posted", uri="chat://{channel}/{+path}", values={"channel": "/c", "path": "/p"}),
        Route(type="posted", uri="chat://posts", data="/text"),
        Route(type="7", uri="chat://seven", change="deleted"),
    ],
    type="/event",
    id="/id",
    data="",
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def test_an_event_may_go_to_several_resources() -> None:
    event = ROUTER.event('{"event": "posted", "id": 1, "c": "a/b", "p": "x/y", "text": "hi"}')
    assert event.id == "1"
    assert [(fact.uri, fact.content) for fact in event.facts] == [
        ("chat://a%2Fb/x/y", b'{"event":"posted","id":1,"c":"a/b","p":"x/y","text":"hi"}'),
        ("chat://posts", b'"hi"'),
    ]


def test_a_type_may_be_a_number_and_what_is_deleted_needs_no_content() -> None:
    [fact] = ROUTER.event('{"event": 7, "id": "x"}').facts
    assert (fact.uri, fact.change, fact.content, fact.type) == ("chat://seven", "deleted", b"", "7")


@pytest.mark.parametrize("type", ['"typing"', '"*"', "null", "{}", '""', "7.5"])
def test_a_type_that_no_route_is_for_has_no_facts(type: str) -> None:
    assert ROUTER.event(f'{{"event": {type}}}').facts == ()


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("", "is no JSON"),
        ('{"event": "posted"', "is no JSON"),
        ('{"event": "posted", "id": "\\ud800"}', "is no JSON|has what cannot be used"),
        ('{"event": "posted"}', "has no id: nothing at /id"),
        ('{"event": "posted", "id": null}', "has no id: at /id there is null"),
        ('{"event": "posted", "id": 1}', "has no channel: nothing at /c"),
        ('{"event": "posted", "id": 1, "c": "a", "p": "b"}', "has no content for 'chat://posts'"),
        ('{"event": "posted", "id": 1, "c": "a", "p": "b#c", "text": 1}', ""),
    ],
)
def test_what_cannot_be_used_says_why(message: str, why: str) -> None:
    if not why:
        assert ROUTER.event(message).facts
        return
    with pytest.raises(BadMessage, match=why):
        ROUTER.event(message)


@given(st.text(max_size=50) | values.map(json.dumps))
def test_no_text_is_too_strange(text: str) -> None:
    _try(text)


@given(
    st.fixed_dictionaries(
        {"event": st.just("posted"), "id": values, "c": values, "p": values, "text": values}
    )
)
def test_no_values_are_too_strange(message: dict[str, object]) -> None:
    _try(json.dumps(message))


def _try(text: str) -> None:
    try:
        event = ROUTER.event(text)
    except BadMessage as error:
        assert str(error)
        return
    for fact in event.facts:
        check_uri(fact.uri)
