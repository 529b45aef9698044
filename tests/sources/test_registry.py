"""What sources are installed into."""

import pytest

from mcptrio.catalog import Catalog
from mcptrio.live import Feed
from mcptrio.sources import Registry


async def source(feed: Feed) -> None:
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
    assert registry.catalog.could_serve("a://1")
    with pytest.raises(ValueError, match="scheme"):
        registry.add_source("b", source, pattern="{x}")
