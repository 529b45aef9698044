"""The judges: other software in environments that scripts/test makes under .cache/judges."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

JUDGES = Path(__file__).parents[2] / ".cache" / "judges"

Judge = Callable[[str], Path]


@pytest.fixture(scope="session")
def judge() -> Judge:
    """The interpreter of a judge by name: `judge("mcp-1")` has the official SDK 1.30, `judge("mcp-2")` 2.3.

    A judge that is not installed skips the test with a reason; with CI=true it fails it.
    """

    def python_of(name: str) -> Path:
        home = JUDGES / name
        if not (home / "installed").exists():
            reason = f"the judge {name} is not installed: run ./scripts/test"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
        return home / "bin" / "python"

    return python_of
