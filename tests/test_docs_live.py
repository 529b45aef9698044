"""What docs/live.md shows is run here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

import msgspec
import pytest
from trio.testing import MockClock

from mcptrio import App
from mcptrio.live.filter import parse_filter
from mcptrio.live.policy import parse_policy
from tests.server.rig import running
from tests.test_docs_pages import DOCS, blocks

PAGE = (DOCS / "live.md").read_text()


def cells(heading: str, column: int) -> list[str]:
    """The code in one column of the table under a heading."""
    table = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("|")]
    return [code for row in rows[2:] for code in row[column].split("`")[1::2]]


async def test_the_example_hears_of_large_orders_only(autojump_clock: MockClock) -> None:
    module: dict[str, object] = {"__name__": "page"}
    exec(compile("\n".join(blocks("live.md")), "live.md", "exec"), module)
    seen: list[str] = []
    app = cast(App, module["app"])
    async with running(app):
        await cast(Callable[[list[str]], Awaitable[None]], module["large_orders"])(seen)
    assert [f"`{line}`" in PAGE for line in seen] == [True]


@pytest.mark.parametrize("text", cells("Which filter", 1))
def test_the_filters_of_the_page_are_filters(text: str) -> None:
    parse_filter(msgspec.json.decode(text.replace("[...]", '[{"kind": "created"}]')))


@pytest.mark.parametrize("text", cells("Which policy", 1))
def test_the_policies_of_the_page_are_policies(text: str) -> None:
    parse_policy(msgspec.json.decode(text) if text.startswith("{") else text)
