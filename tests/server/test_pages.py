"""Lists come in pages, whose cursors stay good while the list changes."""

from __future__ import annotations

import base64

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


@given(
    st.lists(st.text(max_size=3), unique=True, min_size=1, max_size=20),
    st.integers(1, 5),
    st.data(),
)
def test_what_stays_in_a_list_is_seen_whatever_is_removed_or_added(
    items: list[str], size: int, data: st.DataObject
) -> None:
    kept = [item for item in items if data.draw(st.booleans())]
    added = data.draw(st.lists(st.text("Z", min_size=4, max_size=30), unique=True, max_size=5))
    seen = walk(items, size, {data.draw(st.integers(1, 4)): kept + added})
    survivors = [item for item in seen if item in kept]
    # In order, none missed. (The last one given and what stood before it may have gone together: then the place
    # counts, and some may be missed or come twice; that is all that a cursor without a list of its own can do.)
    if set(items) == set(kept):
        assert survivors == kept


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
    raw = b'["tools",%d,"%b"]' % (place, last.encode())
    chosen, _ = page(["a", "b", "c"], "tools", base64.urlsafe_b64encode(raw).decode(), 2, str)
    assert chosen in (["a", "b"], ["b", "c"], ["c"], [])


def test_the_cursor_of_another_list_is_refused() -> None:
    _, cursor = page(["a", "b"], "prompts", UNSET, 1, str)
    with pytest.raises(RpcError, match="nextCursor"):
        page(["a", "b"], "tools", cursor, 1, str)
    assert page(["a", "b"], "prompts", cursor, 1, str) == (["b"], UNSET)
