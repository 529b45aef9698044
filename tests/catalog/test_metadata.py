"""Icons, annotations, `_meta`, sizes and times that are declared beside a function."""

from __future__ import annotations

import math
from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from mcptrio.catalog import Caching, Catalog, DeclarationError
from mcptrio.protocol import Revision
from mcptrio.protocol.types import Annotations, Icon, Wire
from tests.tap import expect_valid

from .fake_context import FakeContext

ICONS = [Icon(src="https://a.example/b.png", mime_type="image/png", sizes=["48x48"], theme="dark")]
FOR = Annotations(audience=["user"], priority=0.5, last_modified="2026-01-31T12:00:00Z")
META: dict[str, object] = {"com.example/owner": {"team": 3}}


async def handler() -> str:
    return "x"


async def one(id: str) -> str:
    return id


async def prompt(city: Annotated[str, Meta(title="City", description="Where")]) -> str:
    return city


def everything() -> Catalog:
    catalog = Catalog()
    catalog.add_tool(handler, title="T", icons=ICONS, meta=META)
    catalog.add_prompt(prompt, title="T", icons=ICONS, meta=META)
    catalog.add_resource("a:b", handler, title="T", icons=ICONS, meta=META, annotations=FOR, size=7)
    catalog.add_template("a:b/{id}", one, title="T", icons=ICONS, meta=META, annotations=FOR)
    return catalog


def wire(listed: Wire) -> dict[str, object]:
    plain = msgspec.json.decode(msgspec.json.encode(listed))
    assert isinstance(plain, dict)
    return plain


@pytest.mark.parametrize("revision", Revision)
async def test_what_is_declared_is_listed_as_the_schemas_have_it(revision: Revision) -> None:
    catalog = everything()
    listed = {
        "Tool": wire(catalog.tools(revision)[0]),
        "Prompt": wire(catalog.prompts()[0]),
        "Resource": wire((await catalog.list_resources(FakeContext()))[0]),
        "ResourceTemplate": wire(catalog.templates()[0]),
    }
    for definition, plain in listed.items():
        expect_valid(plain, revision, definition)
        assert plain["title"] == "T"
        assert plain["_meta"] == META
        assert plain["icons"] == [
            {"src": "https://a.example/b.png", "mimeType": "image/png", "sizes": ["48x48"], "theme": "dark"}
        ]
    for definition in ("Resource", "ResourceTemplate"):
        assert listed[definition]["annotations"] == {
            "audience": ["user"],
            "priority": 0.5,
            "lastModified": "2026-01-31T12:00:00Z",
        }
    assert listed["Resource"]["size"] == 7
    assert listed["Prompt"]["arguments"] == [
        {"name": "city", "title": "City", "description": "Where", "required": True}
    ]


async def test_what_a_template_lists_has_its_icons_and_annotations() -> None:
    catalog = Catalog()
    catalog.add_template("a:b/{id}", one, icons=ICONS, annotations=FOR, list=ids)
    [listed] = await catalog.list_resources(FakeContext())
    assert (listed.uri, listed.icons, listed.annotations) == ("a:b/1", ICONS, FOR)


async def ids() -> list[str]:
    return ["1"]


async def test_what_is_declared_is_copied() -> None:
    meta: dict[str, object] = {"a": 1}
    catalog = Catalog()
    catalog.add_tool(handler, meta=meta)
    meta["a"] = object()
    assert catalog.tools(Revision.MODERN)[0].meta == {"a": 1}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"icons": [Icon(src="file:///etc/passwd")]}, "the icon 'file:///etc/passwd' needs an https:"),
        ({"icons": "https://a/b.png"}, "icons="),
        ({"icons": [Icon(src="https://a", theme="blue")]}, "icons="),  # type: ignore[arg-type]
        ({"annotations": Annotations(priority=1.5)}, "priority=1.5 must be from 0 to 1"),
        ({"annotations": Annotations(audience=["all"])}, "annotations="),  # type: ignore[list-item]
        ({"annotations": Annotations(last_modified="yesterday")}, "last_modified='yesterday'"),
        ({"meta": {"a": object()}}, "meta="),
        ({"meta": []}, "meta="),
        ({"size": -1}, "size=-1"),
        ({"ttl": -1}, "ttl=-1"),
        ({"ttl": math.inf}, "ttl=inf"),
        ({"ttl": math.nan}, "ttl=nan"),
        ({"cache": 0}, "cache=0"),
        ({"cache": math.nan}, "cache=nan"),
    ],
)
def test_what_no_client_would_understand_is_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(DeclarationError, match=rf"handler: .*{text}"):
        Catalog().add_resource("a:b", handler, **options)  # type: ignore[arg-type]


def test_how_long_something_may_be_kept_is_known_by_its_uri() -> None:
    catalog = Catalog()
    catalog.add_resource("a:b", handler, ttl=1.5, public=True, cache=3)
    catalog.add_template("a:c/{id}", one, cache=0.5)
    assert catalog.caching("a:b") == Caching(ttl=1.5, public=True, cache_seconds=3)
    assert (catalog.caching("a:b").ttl_ms, catalog.caching("a:b").scope) == (1500, "public")
    assert catalog.caching("a:c/1") == Caching(cache_seconds=0.5)
    assert catalog.caching("a:nothing") == Caching()
    assert (Caching().ttl_ms, Caching().scope) == (0, "private")
