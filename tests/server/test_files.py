"""Templates of files: no value leads out of its place, neither by reading nor by subscribing."""

from __future__ import annotations

import pytest

from mcptrio import App
from tests.server.rig import running, updated
from tests.server.work import BOTH, connect

ASTRAY = [
    "file:///docs/..%2fsecret",
    "file:///docs/..%2Fsecret",
    "file:///docs/%2e%2e",
    "file:///docs/%2E%2e%2Fsecret",
    "file:///docs/..",
    "file:///docs/a%2f..%2f..%2fsecret",
    "file:///docs/%2fetc%2fpasswd",
    "file:///docs/..%5csecret",
    "file:///docs/a%5c..%5c..%5csecret",
    "file:///docs/%5cwindows",
    "file:///docs/%5C%5Chost%5Cshare",
    "file:///docs/a%00b",
    "file:///docs/%00",
    "file:///tree/../secret",
    "file:///tree/a/../../secret",
    "file:///tree/a/..",
    "file:///tree//etc/passwd",
    "file:///tree/%2e%2e/secret",
    "file:///tree/a%00",
]
PLAIN = [
    ("file:///docs/a.txt", "a.txt"),
    ("file:///docs/.hidden", ".hidden"),
    ("file:///docs/..a", "..a"),
    ("file:///docs/a..b", "a..b"),
    ("file:///docs/...", "..."),
    ("file:///docs/a%20b%2fc", "a b/c"),
    ("file:///docs/%252e%252e", "%2e%2e"),
    ("file:///tree/a/b.txt", "a/b.txt"),
    ("file:///tree/a/..b/c", "a/..b/c"),
    ("file:///tree/a/./b", "a/./b"),
]


def house() -> tuple[App, list[str]]:
    app = App("house")
    opened: list[str] = []

    @app.resource("file:///docs/{name}")
    async def document(name: str) -> str:
        opened.append(name)
        return name

    @app.resource("file:///tree/{+path}")
    async def file(path: str) -> str:
        opened.append(path)
        return path

    @app.resource("docs://{+path}")
    async def anything(path: str) -> str:
        return path

    return app, opened


@BOTH
@pytest.mark.parametrize("uri", ASTRAY)
async def test_a_value_that_leads_astray_is_no_such_resource(modern: bool, uri: str) -> None:
    app, opened = house()
    async with running(app) as home:
        wire = await connect(home, modern)
        code, _, data = await wire.error("resources/read", {"uri": uri}, modern=modern)
        assert (code, data) == (-32602 if modern else -32002, {"uri": uri})
        if modern:
            assert await wire.listen("l", uri, "file:///docs/a") == {
                "resourceSubscriptions": ["file:///docs/a"]
            }
        else:
            code, _, data = await wire.error("resources/subscribe", {"uri": uri})
            assert (code, data) == (-32002, {"uri": uri})
        assert uri not in app.hub.subscriptions()
    assert opened == []


@BOTH
@pytest.mark.parametrize(("uri", "value"), PLAIN)
async def test_a_plain_name_is_a_resource(modern: bool, uri: str, value: str) -> None:
    app, _ = house()
    async with running(app) as home:
        wire = await connect(home, modern)
        result = await wire.result("resources/read", {"uri": uri}, modern=modern)
        assert [contents["text"] for contents in result["contents"]] == [value]  # type: ignore[attr-defined]
        if modern:
            await wire.listen("l", uri)
        else:
            await wire.subscribe(uri)
        app.updated_nowait(uri)
        assert await wire.receive() == updated(uri, "l" if modern else None)


@BOTH
async def test_other_schemes_give_their_values_their_own_meaning(modern: bool) -> None:
    app, _ = house()
    async with running(app) as home:
        wire = await connect(home, modern)
        result = await wire.result("resources/read", {"uri": "docs://a/..%2fb"}, modern=modern)
        assert [contents["text"] for contents in result["contents"]] == ["a/../b"]  # type: ignore[attr-defined]
