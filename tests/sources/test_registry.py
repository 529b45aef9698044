"""What sources are installed into."""

import pytest

from mcptrio.catalog import Catalog, DeclarationError
from mcptrio.live import Feed
from mcptrio.sources import Registry, SourceSpec


async def source(feed: Feed) -> None:
    feed.live()


async def numbered(feed: Feed, number: int) -> None:
    feed.live()


def test_sources_are_kept_in_order_and_a_name_is_taken_once() -> None:
    registry = Registry(Catalog())
    registry.add_source("b", source)
    registry.add_source("a", source)
    with pytest.raises(ValueError, match="a source named 'b' exists already"):
        registry.add_source("b", source)
    assert [spec.name for spec in registry.sources()] == ["b", "a"]


def test_a_pattern_says_what_a_source_may_report() -> None:
    registry = Registry(Catalog())
    registry.add_source("a", source, pattern="a://{x}")
    registry.add_source("c", source, pattern=["c://{x}", "d://fixed"])
    for uri in ("a://1", "c://1", "d://fixed"):
        assert registry.catalog.could_serve(uri)
    assert not registry.catalog.could_serve("d://other")
    with pytest.raises(ValueError, match="scheme"):
        registry.add_source("b", source, pattern="{x}")
    with pytest.raises(ValueError, match="scheme"):
        registry.add_source("b", source, pattern=["b://{x}", "{x}"])
    assert not registry.catalog.could_serve("b://1"), "all of it or nothing"
    assert [spec.name for spec in registry.sources()] == ["a", "c"]


def test_a_source_with_a_pattern_runs_by_demand_and_one_without_always() -> None:
    registry = Registry(Catalog())
    registry.add_source("inlet", source)
    registry.add_source("demand", source, pattern="a://{x}", linger=5)
    registry.add_source("both", source, pattern="b://{x}", always=True)
    registry.add_source("each", numbered, pattern="c://{number}", each=True)
    assert [(spec.name, spec.always, spec.each, spec.linger) for spec in registry.sources()] == [
        ("inlet", True, False, 30),
        ("demand", False, False, 5),
        ("both", True, False, 30),
        ("each", False, True, 30),
    ]
    with pytest.raises(DeclarationError, match="nothing would ever start it"):
        registry.add_source("never", source, always=False)


def test_what_does_not_convert_can_never_be_served() -> None:
    registry = Registry(Catalog())
    registry.add_source("each", numbered, pattern="c://{number}", each=True)
    assert registry.catalog.could_serve("c://7")
    assert not registry.catalog.could_serve("c://seven")


def test_who_watches_hears_of_every_source_once() -> None:
    registry = Registry(Catalog())
    heard: list[SourceSpec] = []
    registry.add_source("a", source)
    registry.watch(heard.append)
    registry.add_source("b", source)
    with pytest.raises(ValueError, match="exists already"):
        registry.add_source("b", source)
    assert heard == list(registry.sources())
