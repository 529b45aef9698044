"""From documents to resources and changes, against a naive model."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.live import check_uri
from mcptrio.sources.json_data import MOST_DATA
from mcptrio.sources.pointer import Pointer
from mcptrio.sources.poller.items import BadDocument, Item, Shape, differences

SHAPE = Shape("releases://{id}", Pointer("/releases"), Pointer("/id"))
WHOLE = Shape("weather://oslo", None, None)


def items_of(*values: object) -> Mapping[str, Item]:
    return SHAPE.snapshot(json.dumps({"releases": values}).encode()).items


def happened(before: Mapping[str, Item], after: Mapping[str, Item]) -> list[tuple[str, str]]:
    return [(change.kind, change.uri) for change in differences(before, after)]


def test_each_item_is_a_resource_with_its_json_in_the_order_of_its_members() -> None:
    snapshot = SHAPE.snapshot(b'{"releases": [{"z": 1, "id": "a b"}, {"id": 7, "a": [1.5, null]}]}')
    assert snapshot.problem == ""
    assert {uri: item.content for uri, item in snapshot.items.items()} == {
        "releases://a%20b": b'{"z":1,"id":"a b"}',
        "releases://7": b'{"id":7,"a":[1.5,null]}',
    }
    assert [item.id for item in snapshot.items.values()] == ["a b", "7"]


def test_a_whole_document_is_one_resource() -> None:
    snapshot = WHOLE.snapshot(b'\xef\xbb\xbf {"celsius": 3} ')
    assert [(uri, item.content) for uri, item in snapshot.items.items()] == [
        ("weather://oslo", b'{"celsius":3}')
    ]


def test_creations_and_updates_come_in_the_order_of_the_document_and_deletions_last() -> None:
    before = items_of({"id": 1}, {"id": 2, "v": 1}, {"id": 3}, {"id": 4})
    after = items_of({"id": 5}, {"id": 2, "v": 2}, {"id": 3})
    assert happened(before, after) == [
        ("created", "releases://5"),
        ("updated", "releases://2"),
        ("deleted", "releases://1"),
        ("deleted", "releases://4"),
    ]


def test_changes_carry_the_items_value_and_their_source_and_deletions_the_last_value() -> None:
    created, deleted = differences(items_of({"id": 1}), items_of({"id": 2, "v": [None]}), source="releases")
    assert (created.data, created.source) == ({"id": 2, "v": [None]}, "releases")
    assert (deleted.data, deleted.source) == ({"id": 1}, "releases")


def test_metadata_are_the_size_and_a_version_that_is_the_same_for_the_same_value_only() -> None:
    def told(body: bytes) -> dict[str, object]:
        [change] = differences({}, WHOLE.snapshot(body).items)
        assert change.metadata is not None
        return change.metadata

    first = told(b'{"a": 1, "b": 2}')
    assert set(first) == {"version", "size"}
    assert first["size"] == len(b'{"a":1,"b":2}')
    assert first["version"] == told(b'{"b":2,"a":1}')["version"] != told(b'{"a":1,"b":3}')["version"]
    [deleted] = differences(WHOLE.snapshot(b'{"a": 1, "b": 2}').items, {})
    assert deleted.metadata == first


def test_json_that_is_too_long_does_not_go_with_its_change() -> None:
    fits = b'"' + b"x" * (MOST_DATA - 2) + b'"'
    [change] = differences({}, WHOLE.snapshot(fits).items)
    assert change.data == "x" * (MOST_DATA - 2)
    [change] = differences({}, WHOLE.snapshot(fits[:-1] + b'x"').items)
    assert change.data is None
    assert change.metadata is not None and change.metadata["size"] == MOST_DATA + 1


def test_order_of_members_space_and_position_are_no_change() -> None:
    before = SHAPE.snapshot(b'{"releases": [{"id": 1, "a": {"x": 1, "y": 2}}, {"id": 2}]}').items
    after = SHAPE.snapshot(b'{"releases":[{"id":2},{"a":{"y":2,"x":1},"id":1}]}').items
    assert happened(before, after) == []


def test_equal_numbers_of_other_kinds_and_booleans_are_changes() -> None:
    values: list[object] = [1, 1.0, True, "1", None]
    for one in values:
        for other in values:
            expected = [] if one is other else [("updated", "releases://1")]
            assert happened(items_of({"id": 1, "v": one}), items_of({"id": 1, "v": other})) == expected


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "is no JSON"),
        (b"<html>", "is no JSON"),
        (b"{} {}", "is no JSON"),
        (b"NaN", "is no JSON"),
        (b"1e999", "is no JSON: Number out of range"),
        (b'{"releases": "\xff"}', "is no UTF-8 at byte 14"),
        (b"[" * 100_000, "nested too deeply"),
        (b"{}", "has no items: nothing at /releases: it is an object without 'releases'"),
        (b"[]", "has no items: nothing at /releases: it is a list of 0"),
        (b'{"releases": {}}', "has no list of items: at /releases there is an object"),
        (b'{"releases": null}', "has no list of items: at /releases there is null"),
    ],
)
def test_a_document_of_the_wrong_shape_says_in_words_what_is_wrong(body: bytes, message: str) -> None:
    with pytest.raises(BadDocument, match=message):
        SHAPE.snapshot(body)


def test_items_may_be_the_document_itself() -> None:
    shape = Shape("x://{id}", Pointer(""), Pointer("/id"))
    assert list(shape.snapshot(b'[{"id": 1}]').items) == ["x://1"]
    with pytest.raises(BadDocument, match="no list of items: there is an object"):
        shape.snapshot(b"{}")


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ({"name": "x"}, "item 1 has no id: nothing at /id: it is an object without 'id'"),
        ("x", "item 1 has no id: nothing at /id"),
        ({"id": None}, "item 1 has no id: at /id there is null"),
        ({"id": True}, "item 1 has no id: at /id there is a boolean"),
        ({"id": 1.5}, "item 1 has no id: at /id there is a number"),
        ({"id": {}}, "item 1 has no id: at /id there is an object"),
        ({"id": ""}, "item 1 has no id: the string at /id is empty"),
        ({"id": "x" * 3000}, "item 1 has an id that makes no URI, 'xxxx"),
        ({"id": "a"}, "item 1 has the URI of an earlier one, 'releases://a'"),
    ],
)
def test_an_item_that_cannot_be_a_resource_is_left_out_and_the_others_are_there(
    item: object, problem: str
) -> None:
    snapshot = SHAPE.snapshot(json.dumps({"releases": [{"id": "a", "v": 1}, item, {"id": "b"}]}).encode())
    assert snapshot.problem.startswith(f"1 of 3 items left out: {problem}")
    assert list(snapshot.items) == ["releases://a", "releases://b"]
    assert snapshot.items["releases://a"].content == b'{"id":"a","v":1}'


def test_an_id_that_its_uri_does_not_give_back_is_left_out() -> None:
    shape = Shape("x://{+id}?a", Pointer(""), Pointer("/id"))
    snapshot = shape.snapshot(b'[{"id": "b?c"}, {"id": "b"}]')
    assert list(snapshot.items) == ["x://b?a"]
    assert "has an id that cannot be read back from its URI, 'x://b?c?a'" in snapshot.problem


def test_the_same_id_as_number_and_as_string_is_one_uri() -> None:
    snapshot = SHAPE.snapshot(b'{"releases": [{"id": 1}, {"id": "1"}]}')
    assert [item.content for item in snapshot.items.values()] == [b'{"id":1}']
    assert "earlier one" in snapshot.problem


def test_many_problems_are_counted_and_a_few_are_shown() -> None:
    problem = SHAPE.snapshot(json.dumps({"releases": [{}] * 1000}).encode()).problem
    assert problem.startswith("1000 of 1000 items left out: item 0 ")
    assert problem.endswith("; ...")
    assert len(problem) < 500


VALUES = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3)
CONTENTS = st.dictionaries(st.sampled_from("abc"), VALUES | st.lists(VALUES, max_size=2), max_size=3)
DOCUMENTS = st.dictionaries(st.text(min_size=1, max_size=3), CONTENTS, max_size=6)


def body_of(document: dict[str, dict[str, object]]) -> bytes:
    return json.dumps({"releases": [{**content, "id": id} for id, content in document.items()]}).encode()


@given(DOCUMENTS, DOCUMENTS, st.data())
def test_changes_are_those_of_a_naive_model_and_lead_from_the_one_to_the_other(
    before: dict[str, dict[str, object]], after: dict[str, dict[str, object]], data: st.DataObject
) -> None:
    if data.draw(st.booleans(), label="related"):
        after = {**before, **after}
    first, second = SHAPE.snapshot(body_of(before)), SHAPE.snapshot(body_of(after))
    assert first.problem == second.problem == ""
    changes = differences(first.items, second.items)
    expected = [
        ("created" if id not in before else "updated", SHAPE.uri_of(id))
        for id in after
        if id not in before or json.dumps(before[id], sort_keys=True) != json.dumps(after[id], sort_keys=True)
    ] + [("deleted", SHAPE.uri_of(id)) for id in before if id not in after]
    assert [(change.kind, change.uri) for change in changes] == expected

    world = {uri: json.loads(item.content) for uri, item in first.items.items()}
    for change in changes:
        if change.kind == "deleted":
            del world[change.uri]
        else:
            assert (change.kind == "created") is (change.uri not in world)
            world[change.uri] = change.data
    assert world == {uri: json.loads(item.content) for uri, item in second.items.items()}


@given(st.text(min_size=1, max_size=20))
def test_every_id_makes_a_uri_that_finds_its_item(id: str) -> None:
    snapshot = SHAPE.snapshot(json.dumps({"releases": [{"id": id}]}).encode())
    assert snapshot.problem == ""
    [uri] = snapshot.items
    check_uri(uri)
    assert uri == SHAPE.uri_of(id)


@given(
    st.binary()
    | st.recursive(VALUES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)).map(
        lambda value: json.dumps(value).encode()
    )
)
def test_any_bytes_are_a_snapshot_or_a_bad_document(body: bytes) -> None:
    for shape in (SHAPE, WHOLE, Shape("x://{id}", Pointer(""), Pointer(""))):
        try:
            shape.snapshot(body)
        except BadDocument as error:
            assert str(error)
