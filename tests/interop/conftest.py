"""The judges: other software in environments that scripts/test makes under .cache/judges."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from .processes import CLIENTS, Driven

JUDGES = Path(__file__).parents[2] / ".cache" / "judges"

Judge = Callable[[str], Path]
StartClient = Callable[..., Driven]


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


@pytest.fixture
def sdk_1(judge: Judge) -> StartClient:
    """Makes a client of the official SDK 1.30: `async with sdk_1(url) as client`."""
    python = judge("mcp-1")
    return lambda url: Driven(python, CLIENTS / "sdk_1.py", url)


@pytest.fixture
def sdk_2(judge: Judge) -> StartClient:
    """Makes a client of the official SDK 2.3: `async with sdk_2(url, mode) as client`."""
    python = judge("mcp-2")
    return lambda url, mode: Driven(python, CLIENTS / "sdk_2.py", url, mode)
