"""The judges are the software they are said to be."""

import subprocess

import pytest

from .conftest import Judge

VERSION = "import importlib.metadata as m; import mcp, anyio; print(m.version('mcp'))"


@pytest.mark.parametrize(
    ("name", "version", "needs"),
    [
        ("mcp-1", "1.30.", "mcp.client.websocket"),
        ("mcp-2", "2.3.", "trio_websocket"),
    ],
)
def test_each_judge_has_its_generation_of_the_official_sdk_and_a_websocket(
    judge: Judge, name: str, version: str, needs: str
) -> None:
    answer = subprocess.run(
        [judge(name), "-c", f"import {needs}; {VERSION}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.stderr == ""
    assert answer.stdout.startswith(version)
