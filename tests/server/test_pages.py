"""Lists come in pages, whose cursors stay good while the list changes."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from mcptrio import App, ServerSettings
from mcptrio.protocol import RpcError
from mcptrio.server.pages import page
from tests.server.rig import House, running

LISTS = [
    ("tools/list", "tools", "name"),
    ("resources/list", "resources", "uri"),
    ("resources/templates/list", "resourceTemplates", "uriTemplate"),
    ("prompts/list", "prompts", "name"),
]
EACH_LIST = pytest.mark.parametrize(("method", "member", "key"), LISTS)
BOTH = pytest.mark.parametrize("modern", [False, True], ids=["2025-11-25", "2026-07-28"])


async def handler() -> str:
    return "x"


async def reader(id: str) -> str:
    return id


def house(count: int, size: int) -> App:
    app = App("house", settings=ServerSettings(page_size=size, introspection=False))
    for number in range(count):
        app.catalog.add_tool(handler, name=f"n{number}")
        app.catalog.add_prompt(handler, name=f"n{number}")
        app.catalog.add_resource(f"n:{number}", handler)
        app.catalog.add_template(f"n{number}:{{id}}", reader)
    return app


def cursor_of(*values: object) -> str:
    import msgspec

    return base64.urlsafe_b64encode(msgspec.json.encode(values)).decode()


async def pages(home: House, method: str, member: str, key: str, modern: bool) -> list[list[object]]:
    wire = await home.connect(initialized=not modern)
    found = []
    params: dict[str, object] = {}
    while True:
        result = await wire.result(method, params, modern=modern)
        items = result[member]
        assert isinstance(items, list)
        found.append([item[key] for item in items])
        if "nextCursor" not in result:
            return found
        params = {"cursor": result["nextCursor"]}


@BOTH
@EACH_LIST
@pytest.mark.parametrize(
    ("count", "sizes"), [(0, [0]), (1, [1]), (3, [3]), (4, [3, 1]), (6, [3, 3]), (7, [3, 3, 1])]
)
async def test_all_pages_together_are_the_list(
    method: str, member: str, key: str, modern: bool, count: int, sizes: list[int]
) -> None:
    async with running(house(count, 3)) as home:
        found = await pages(home, method, member, key, modern)
        assert [len(each) for each in found] == sizes
        names = [name for each in found for name in each]
        assert len(set(names)) == len(names) == count
        assert names == sorted(names, key=str)


@EACH_LIST
@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "!!!!",
        "é",
        "AAAA",
        cursor_of(),
        cursor_of(1),
        cursor_of("a", 1),
        cursor_of(1, "a", 2),
        cursor_of(1.5, "a"),
        cursor_of("tools", 1, "a"),
        cursor_of("tools", 1, [1]),
        base64.urlsafe_b64encode(b"[" * 100_000).decode(),
        base64.urlsafe_b64encode(b"[" + b"9" * 5000 + b',"a"]').decode(),
        base64.urlsafe_b64encode(b'[1,"\xff"]').decode(),
    ],
)
async def test_a_cursor_that_is_not_ours_is_refused(method: str, member: str, key: str, cursor: str) -> None:
    async with running(house(2, 1)) as home:
        wire = await home.connect(initialized=True)
        code, message, _ = await wire.error(method, {"cursor": cursor})
        assert code == -32602
        assert "nextCursor" in message
        assert (await wire.error(method, {"cursor": 7}))[0] == -32602


async def test_a_cursor_stays_good_while_the_list_changes() -> None:
    app = house(6, 2)
    async with running(app) as home:
        wire = await home.connect()
        first = await wire.result("tools/list", modern=True)
        app.remove_tool("n0")  # seen already
        app.remove_tool("n3")  # not seen yet
        app.catalog.add_tool(handler, name="new")
        second = await wire.result("tools/list", {"cursor": first["nextCursor"]}, modern=True)
        app.remove_tool("n4")  # the last one given
        third = await wire.result("tools/list", {"cursor": second["nextCursor"]}, modern=True)
        names = [[tool["name"] for tool in each["tools"]] for each in (first, second, third)]  # type: ignore[attr-defined]
        assert names == [["n0", "n1"], ["n2", "n4"], ["n5", "new"]]
        assert "nextCursor" not in third


def walk(items: list[str], size: int, change: dict[int, list[str]]) -> list[str]:
    """All pages, the list being replaced before some of them."""
    seen: list[str] = []
    cursor: str | UnsetType = UNSET
    for step in range(200):
        items = change.get(step, items)
        chosen, cursor = page(items, "tools", cursor, size, str)
        assert len(chosen) <= size
        seen += chosen
        if cursor is UNSET:
            return seen
    raise AssertionError("the pages never end")


@given(st.lists(st.text(max_size=3), unique=True, max_size=30), st.integers(1, 10))
def test_an_unchanged_list_is_walked_once_in_order(items: list[str], size: int) -> None:
    assert walk(items, size, {}) == items


@given(st.integers(1, 40), st.integers(1, 9), st.data())
def test_what_stays_in_a_changing_list_comes_once_and_in_order(
    count: int, size: int, data: st.DataObject
) -> None:
    items = [f"item{number}" for number in range(count)]
    stays = set(items)
    seen: list[str] = []
    cursor: str | UnsetType = UNSET
    for step in range(200):
        chosen, cursor = page(items, "tools", cursor, size, str)
        seen += chosen
        if cursor is UNSET:
            break
        # Anything may go but one of the last eight given, and anything may come, anywhere.
        anchor = data.draw(st.sampled_from(items[: items.index(seen[-1]) + 1][-8:]))
        if step < 6:
            gone = set(data.draw(st.lists(st.sampled_from(items), max_size=len(items)))) - {anchor}
            items = [item for item in items if item not in gone]
            for number in range(data.draw(st.integers(0, 4))):
                items.insert(data.draw(st.integers(0, len(items))), f"new{step}.{number}")
            stays -= gone
    assert cursor is UNSET
    assert [item for item in seen if item in stays] == [item for item in items if item in stays]


@given(st.integers(12, 40), st.integers(1, 9), st.integers(1, 3))
def test_when_all_that_was_given_last_is_gone_the_place_counts(count: int, size: int, pages: int) -> None:
    items = [f"item{number}" for number in range(count)]
    cursor: str | UnsetType = UNSET
    for _ in range(pages):
        _, cursor = page(items, "tools", cursor, size, str)
        if cursor is UNSET:
            return
    given = size * pages
    left = items[: max(given - 8, 0)] + items[given:]
    assert page(left, "tools", cursor, count, str)[0] == items[given:]


@given(st.text(max_size=30), st.integers(1, 5))
def test_any_cursor_gives_a_page_or_is_refused(cursor: str, size: int) -> None:
    try:
        chosen, _ = page(["a", "b", "c"], "tools", cursor, size, str)
    except RpcError as error:
        assert error.code == -32602
    else:
        assert len(chosen) <= size


@given(st.integers(-(10**30), 10**30), st.sampled_from(["a", "c", "z", ""]))
def test_any_place_in_a_cursor_is_harmless(place: int, last: str) -> None:
    mark = hashlib.blake2b(last.encode(), digest_size=6).hexdigest()
    raw = b'["tools",%d,["%b"]]' % (place, mark.encode())
    chosen, _ = page(["a", "b", "c"], "tools", base64.urlsafe_b64encode(raw).decode(), 2, str)
    assert chosen in (["a", "b"], ["b", "c"], ["c"], [])


def test_a_cursor_without_anything_given_begins_anew() -> None:
    assert page(["a", "b"], "tools", cursor_of("tools", 7, []), 1, str)[0] == ["a"]


def test_a_cursor_of_long_uris_is_short() -> None:
    items = [f"x://{number:02}/" + "long" * 500 for number in range(20)]
    _, cursor = page(items, "resources", UNSET, 10, str)
    assert isinstance(cursor, str)
    assert len(cursor) < 250


def test_the_cursor_of_another_list_is_refused() -> None:
    _, cursor = page(["a", "b"], "prompts", UNSET, 1, str)
    with pytest.raises(RpcError, match="nextCursor"):
        page(["a", "b"], "tools", cursor, 1, str)
    assert page(["a", "b"], "prompts", cursor, 1, str) == (["b"], UNSET)
