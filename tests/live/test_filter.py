"""What filters match, and which of them are the same."""

from __future__ import annotations

import math

import pytest

from mcptrio.live import Change
from mcptrio.live.filter import parse_filter
from mcptrio.live.view import View

MAIL = {
    "from": "ada@example.org",
    "subject": "Re: Hello",
    "body": "line one\nline two",
    "n": 3,
    "ratio": 0.5,
    "read": False,
    "assignee": None,
    "tags": ["urgent", 1, True, None, {"a": [1]}],
    "flags": [True],
    "path": "src/mcptrio/live.py",
    "nested": {"list": [{"id": 7}], "odd/na~me": 1},
    "empty": "",
    "nan": math.nan,
}


def matches(filter_: object, data: object = MAIL, kind: str = "updated") -> bool:
    return parse_filter(filter_).matches(Change(uri="a:b", kind=kind, data=data))


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ({"kind": "updated"}, True),
        ({"kind": "created"}, False),
        ({"kind": ["created", "updated"]}, True),
        ({"kind": ["created", "deleted"]}, False),
        ({"eq": {"/from": "ada@example.org"}}, True),
        ({"eq": {"/from": "Ada@example.org"}}, False),
        ({"eq": {"/n": 3.0}}, True),
        ({"eq": {"/n": "3"}}, False),
        ({"eq": {"/tags/1": True}}, False),
        ({"eq": {"/tags/2": 1}}, False),
        ({"eq": {"/tags/2": True}}, True),
        ({"eq": {"/read": 0}}, False),
        ({"eq": {"/assignee": None}}, True),
        ({"eq": {"/absent": None}}, False),
        ({"eq": {"/nan": None}}, True),
        ({"eq": {"/nested": {"odd/na~me": 1, "list": [{"id": 7.0}]}}}, True),
        ({"eq": {"/nested/list": [{"id": 7}, {}]}}, False),
        ({"eq": {"/nested/odd~1na~0me": 1}}, True),
        ({"in": {"/n": [1, "3"]}}, False),
        ({"in": {"/n": [1, 3]}}, True),
        ({"in": {"/tags/4": [7, {"a": [1]}]}}, True),
        ({"in": {"/read": [0, None, ""]}}, False),
        ({"in": {"/absent": [None, "", [], {}]}}, False),
        ({"lt": {"/n": 3}}, False),
        ({"le": {"/n": 3}}, True),
        ({"gt": {"/n": 2.5}}, True),
        ({"ge": {"/n": 3.5}}, False),
        ({"lt": {"/n": "9"}}, False),
        ({"gt": {"/from": 0}}, False),
        ({"gt": {"/read": -1}}, False),
        ({"lt": {"/read": 1}}, False),
        ({"ge": {"/nan": 0}}, False),
        ({"le": {"/assignee": 0}}, False),
        ({"gt": {"/from": "Z"}}, True),
        ({"lt": {"/from": "ada@example.org!"}}, True),
        ({"prefix": {"/subject": "Re:"}}, True),
        ({"prefix": {"/subject": "re:"}}, False),
        ({"prefix": {"/n": "3"}}, False),
        ({"suffix": {"/subject": "Hello"}}, True),
        ({"suffix": {"/subject": "Hell"}}, False),
        ({"suffix": {"/tags": "urgent"}}, False),
        ({"contains": {"/body": "one\nline"}}, True),
        ({"contains": {"/body": "three"}}, False),
        ({"contains": {"/tags": "urgent"}}, True),
        ({"contains": {"/tags": "urg"}}, False),
        ({"contains": {"/tags": {"a": [1.0]}}}, True),
        ({"contains": {"/tags": False}}, False),
        ({"contains": {"/flags": 1}}, False),
        ({"contains": {"/flags": True}}, True),
        ({"contains": {"/nested": "list"}}, False),
        ({"contains": {"/body": 1}}, False),
        ({"contains": {"/absent": "a"}}, False),
        ({"glob": {"/path": "src/*.py"}}, True),
        ({"glob": {"/path": "*.p?"}}, True),
        ({"glob": {"/path": "src"}}, False),
        ({"glob": {"/empty": "*"}}, True),
        ({"glob": {"/n": "*"}}, False),
        ({"exists": "/assignee"}, True),
        ({"exists": "/absent"}, False),
        ({"exists": ""}, True),
        ({"exists": "/nested/list/0/id"}, True),
        ({"exists": "/nested/list/1"}, False),
        ({"and": [{"kind": "updated"}, {"exists": "/n"}]}, True),
        ({"and": [{"kind": "created"}, {"exists": "/n"}]}, False),
        ({"or": [{"kind": "created"}, {"exists": "/n"}]}, True),
        ({"or": [{"kind": "created"}, {"exists": "/absent"}]}, False),
        ({"not": {"kind": "created"}}, True),
        ({"not": {"eq": {"/absent": 1}}}, True),
        ({"not": {"not": {"exists": "/n"}}}, True),
    ],
)
def test_a_filter_matches_what_it_says(filter_: object, expected: bool) -> None:
    assert matches(filter_) is expected


def test_strings_are_compared_by_code_point() -> None:
    # By UTF-16 code unit the second would be the lesser.
    assert matches({"lt": {"": "\U0001f600"}}, "\uff61")


@pytest.mark.parametrize("data", [None, object(), math.nan])
def test_without_data_only_a_not_and_the_kind_match(data: object) -> None:
    for filter_ in ({"exists": ""}, {"eq": {"": None}}, {"contains": {"": ""}}, {"glob": {"": "*"}}):
        assert not matches(filter_, data)
        assert matches({"not": filter_}, data)
    assert matches({"kind": "deleted"}, data, kind="deleted")


def test_numbers_are_compared_exactly_however_large() -> None:
    assert not matches({"eq": {"": 2.0**53}}, 2**53 + 1)
    assert matches({"lt": {"": 2.0**53}}, -(10**400))
    assert matches({"gt": {"": 1.5}}, 10**400)
    assert matches({"in": {"": [10**400, 1]}}, 10**400)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"kind": "created"}, {"kind": ["created", "created"]}),
        ({"kind": ["a", "b"]}, {"kind": ["b", "a"]}),
        ({"eq": {"/a": 1}}, {"in": {"/a": [1.0]}}),
        ({"in": {"/a": [True, "x"]}}, {"in": {"/a": ["x", True, "x"]}}),
        ({"eq": {"/a": {"b": 1, "c": [2]}}}, {"eq": {"/a": {"c": [2.0], "b": 1}}}),
        ({"glob": {"/a": "a**?"}}, {"glob": {"/a": "a?*"}}),
        ({"lt": {"/a": 1}}, {"lt": {"/a": 1.0}}),
        (
            {"and": [{"kind": "a"}, {"exists": "/b"}]},
            {"and": [{"exists": "/b"}, {"kind": "a"}, {"kind": ["a"]}]},
        ),
        ({"and": [{"kind": "a"}]}, {"kind": "a"}),
        ({"or": [{"and": [{"or": [{"kind": "a"}]}]}]}, {"not": {"not": {"kind": "a"}}}),
        (
            {"or": [{"kind": "a"}, {"or": [{"kind": "b"}, {"exists": "/c"}]}]},
            {"or": [{"or": [{"exists": "/c"}, {"kind": "a"}]}, {"kind": "b"}]},
        ),
    ],
)
def test_another_spelling_has_the_same_key(one: object, other: object) -> None:
    assert parse_filter(one).key == parse_filter(other).key
    assert hash(parse_filter(one).key) == hash(parse_filter(other).key)


def test_what_differs_in_meaning_has_keys_of_its_own() -> None:
    filters: list[object] = [
        {"kind": "a"},
        {"exists": "/a"},
        {"exists": "/a~1"},
        *(
            {"eq": {"/a": value}}
            for value in (1, "1", True, None, [], [1], [True], {}, {"a": 1}, ["bool", True])
        ),
        {"in": {"/a": [1, 2]}},
        {"eq": {"/a": [1, 2]}},
        *({name: {"/a": "1"}} for name in ("lt", "le", "gt", "ge", "prefix", "suffix", "contains", "glob")),
        {"not": {"kind": "a"}},
        {"and": [{"kind": "a"}, {"exists": "/a"}]},
        {"or": [{"kind": "a"}, {"exists": "/a"}]},
        {"and": [{"or": [{"kind": "a"}, {"exists": "/a"}]}, {"kind": "b"}]},
        {"or": [{"and": [{"kind": "a"}, {"exists": "/a"}]}, {"kind": "b"}]},
    ]
    assert len({parse_filter(one).key for one in filters}) == len(filters)


def test_the_kind_is_asked_first_and_spares_the_data() -> None:
    class Counted(View):
        reads = 0

        @property
        def data(self) -> object:
            self.reads += 1
            return super().data

    view = Counted(Change(uri="a:b", kind="updated", data={"a": 1}))
    wanted: object = {"eq": {"/a": 1}}
    assert not parse_filter({"and": [wanted, {"not": {"kind": "updated"}}]}).judge(view)
    assert parse_filter({"or": [{"not": wanted}, {"kind": "updated"}]}).judge(view)
    assert view.reads == 0
    assert parse_filter({"and": [wanted, {"kind": "updated"}]}).judge(view)
    assert view.reads == 1


@pytest.mark.parametrize(
    ("filter_", "nodes", "uses_data"),
    [
        ({"kind": "a"}, 1, False),
        ({"not": {"or": [{"kind": "a"}, {"kind": "b"}, {"kind": ["b"]}]}}, 5, False),
        ({"and": [{"kind": "a"}, {"not": {"exists": ""}}]}, 4, True),
    ],
)
def test_a_filter_knows_its_size_and_whether_it_looks_at_data(
    filter_: object, nodes: int, uses_data: bool
) -> None:
    parsed = parse_filter(filter_)
    assert (parsed.nodes, parsed.uses_data) == (nodes, uses_data)


def test_a_filter_keeps_nothing_of_what_it_was_made_from() -> None:
    values = [{"a": [1]}, 2]
    made_from = {"in": {"/x": values}}
    filter_ = parse_filter(made_from)
    values[0] = 5
    made_from["in"] = {"/x": [7]}
    assert filter_.matches(Change(uri="a:b", data={"x": {"a": [1]}}))
    assert not filter_.matches(Change(uri="a:b", data={"x": 5}))
