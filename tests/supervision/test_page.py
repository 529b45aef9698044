"""What docs/supervision.md shows is run here, and the tests that it names exist."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest
import trio
from trio.testing import MockClock

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "supervision.md").read_text()

EXAMPLES = re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_examples_print_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    page: dict[str, object] = {"__name__": "page"}  # later examples use the names of the earlier ones
    assert len(EXAMPLES) == PAGE.count("```python")
    for code, printed in EXAMPLES:
        exec(compile(code, "supervision.md", "exec"), page)
        main = cast(Callable[[], Awaitable[None]], page["main"])
        trio.run(main, clock=MockClock(autojump_threshold=0))
        assert capsys.readouterr().out == printed


def test_the_tests_that_the_page_names_exist() -> None:
    table = PAGE.partition("## supervisor_SUITE")[2]
    named = 0
    for file, tests in re.findall(r"(test_\w+): ((?:`test_\w+`(?:, )?)+)", table):
        source = (HERE / f"{file}.py").read_text()
        for test in re.findall(r"`(\w+)`", tests):
            assert f"def {test}(" in source, f"{file}.py has no {test}"
            named += 1
    assert named == table.count("`test_") - len(re.findall(r"`test_\w+\.py`", table))
    for file in re.findall(r"`(\w+\.py)`", table):
        assert (HERE / file).exists()


@pytest.mark.parametrize("heading", re.findall(r"\]\(#([\w-]+)\)", PAGE))
def test_every_link_within_the_page_leads_to_a_heading(heading: str) -> None:
    headings = [
        re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-")
        for line in re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    ]
    assert heading in headings
