"""URIs that many clients would spell otherwise are refused when they are declared, with the fix named."""

from __future__ import annotations

import pytest

from mcptrio.catalog import Catalog, DeclarationError


async def fixed() -> str:
    return ""


async def one(id: str) -> str:
    return id


@pytest.mark.parametrize("uri", ["News://today", "FILE:///a", "urN:x", "HTTP://host/"])
def test_a_scheme_in_capitals_is_refused(uri: str) -> None:
    with pytest.raises(DeclarationError, match=r"fixed: write the scheme of '.*' in small letters"):
        Catalog().add_resource(uri, fixed)
    with pytest.raises(DeclarationError, match=r"one: write the scheme of '.*' in small letters"):
        Catalog().add_template(uri + "{id}", one)


@pytest.mark.parametrize("uri", ["http://host", "https://host", "https://host:8443", "http://host?a=b"])
def test_an_http_uri_without_a_path_is_refused(uri: str) -> None:
    with pytest.raises(DeclarationError, match=r"fixed: give '.*' a path, at least `/`"):
        Catalog().add_resource(uri, fixed)


@pytest.mark.parametrize("template", ["http://{id}", "https://host{?id}"])
def test_an_http_template_without_a_path_is_refused(template: str) -> None:
    with pytest.raises(DeclarationError, match=r"one: give '.*' a path, at least `/`"):
        Catalog().add_template(template, one)


@pytest.mark.parametrize("uri", ["http://host/", "https://host/a?b", "news://Today", "news://today", "urn:X"])
def test_what_every_client_spells_alike_is_taken(uri: str) -> None:
    catalog = Catalog()
    catalog.add_resource(uri, fixed)
    assert catalog.could_serve(uri)
    catalog.add_template("http://host/{id}", one)
    assert catalog.could_serve("http://host/1")
