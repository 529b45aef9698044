"""JSON pointers, by the examples of RFC 6901 and by any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.sources.pointer import Pointer, PointerError, described

DOCUMENT = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "e^f": 3,
    "g|h": 4,
    "i\\j": 5,
    'k"l': 6,
    " ": 7,
    "m~n": 8,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", DOCUMENT),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
    ],
)
def test_the_examples_of_the_standard_resolve(text: str, expected: object) -> None:
    assert Pointer(text).resolve(DOCUMENT) == expected


def test_escapes_are_undone_in_the_order_that_keeps_a_tilde() -> None:
    assert Pointer("/~01").resolve({"~1": "tilde"}) == "tilde"


@pytest.mark.parametrize("text", ["foo", "#/foo", "/~", "/~2", "/a~"])
def test_what_is_no_pointer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no JSON pointer"):
        Pointer(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/bar", "nothing at /bar: it is an object without 'bar'"),
        ("/foo/2", "nothing at /foo/2: /foo is a list of 2"),
        ("/foo/00", "nothing at /foo/00: /foo is a list of 2"),
        ("/foo/-", "nothing at /foo/-: /foo is a list of 2"),
        ("/foo/-1", "nothing at /foo/-1: /foo is a list of 2"),
        ("/foo/0/x/y", "nothing at /foo/0/x/y: /foo/0 is a string"),
        ("/m~0n/x", "nothing at /m~0n/x: /m~0n is a number"),
    ],
)
def test_a_pointer_to_nothing_says_how_far_it_leads(text: str, message: str) -> None:
    with pytest.raises(PointerError) as caught:
        Pointer(text).resolve(DOCUMENT)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "an object"),
        ([], "a list"),
        ("", "a string"),
        (None, "null"),
        (True, "a boolean"),
        (1.5, "a number"),
    ],
)
def test_every_kind_of_value_has_words(value: object, words: str) -> None:
    assert described(value) == words


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


@given(JSON, st.data())
def test_every_value_of_a_document_has_a_pointer(document: object, data: st.DataObject) -> None:
    tokens: list[str] = []
    value = document
    while isinstance(value, dict | list) and value and data.draw(st.booleans()):
        key = data.draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        value = value[key]
        tokens.append(str(key).replace("~", "~0").replace("/", "~1"))
    pointer = Pointer("".join(f"/{token}" for token in tokens))
    assert pointer.resolve(document) is value
    assert repr(pointer) == f"Pointer({pointer.text!r})"


@given(st.text(), JSON)
def test_any_text_either_points_or_raises_its_own_errors(text: str, document: object) -> None:
    try:
        pointer = Pointer(text)
    except ValueError:
        return
    try:
        pointer.resolve(document)
    except PointerError as error:
        assert str(error)
