"""The commands of the README are run as they are written, but for the port and where the program is.

Real processes: each wait is for a line or for an end.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcptrio import open_client
from mcptrio.client import StdioCommand
from tests.cli.test_processes import DEADLINE, environment, line_of, started
from tests.test_readme import ROOT, blocks

SCRIPTS, CLIENTS, CURL, TOKENS = (block.replace("\\\n", "") for block in blocks("sh"))
WEATHER = blocks("python")[0]

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl here")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with what the README has by then, and `mcptrio` in the path of its commands."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.md").write_text("milk")
    (tmp_path / "config.toml").write_text(blocks("toml")[0])
    (tmp_path / "weather.py").write_text(WEATHER)
    program = tmp_path / "bin" / "mcptrio"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m mcptrio "$@"\n')
    program.chmod(0o755)
    return tmp_path


@contextlib.contextmanager
def shell(command: str, here: Path) -> Iterator[subprocess.Popen[str]]:
    kept = environment()
    with subprocess.Popen(
        ["/bin/sh", "-c", f"exec {command}"],
        cwd=here,
        env={**kept, "PATH": f"{here / 'bin'}:{kept['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def said(command: str, here: Path) -> str:
    """What a command that ends writes."""
    with shell(command, here) as process:
        written, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, errors
    return written


@contextlib.contextmanager
def serving(*arguments: str, here: Path) -> Iterator[str]:
    """A server on a free port; gives the port."""
    with started("serve", *arguments, "--port", "0", cwd=here) as process:
        yield str(re.findall(r":(\d+)/mcp", line_of(process))[0])


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The port of a demo."""
    with started("demo", "--port", "0", cwd=tmp_path_factory.mktemp("demo")) as process:
        lines = [line_of(process) for _ in range(3)]
        yield re.findall(r":(\d+)/mcp", lines[1])[0]


def test_the_scripts_are_there() -> None:
    for script in re.findall(r"^\./(\S+)", SCRIPTS, re.MULTILINE):
        assert (ROOT / script).stat().st_mode & 0o111


@pytest.mark.parametrize("command", CLIENTS.splitlines())
def test_each_client_says_what_the_demo_has(command: str, demo: str, here: Path) -> None:
    command = command.replace(".venv/bin/mcptrio", "mcptrio").replace("8765", demo)
    with shell(command, here) as process:
        words = line_of(process)
    assert "email://" in words or "newest" in words or "mcptrio-demo" in words


def test_the_python_client_prints_what_changes(demo: str, here: Path) -> None:
    script = here / "client.py"
    script.write_text(next(each for each in blocks("python") if "open_client" in each).replace("8765", demo))
    with shell(f"{sys.executable} {script}", here) as process:
        assert line_of(process) == "email://live-feed False\n"


@needs_curl
def test_curl_reads_a_resource_over_http(demo: str, here: Path) -> None:
    answer = json.loads(said(CURL.replace("8765", demo), here))
    (contents,) = answer["result"]["contents"]
    assert contents["uri"] == "email://live-feed"


@needs_curl
def test_curl_does_what_the_page_of_http_shows(demo: str, here: Path) -> None:
    page = (ROOT / "docs" / "http.md").read_text()
    listing, listening = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    answer = json.loads(said(listing.replace("8765", demo), here))
    assert answer["result"]["tools"] == []
    with shell(listening.replace("8765", demo), here) as process:
        assert "acknowledged" in line_of(process)


async def text_of(server: str | StdioCommand, uri: str, token: str | None = None) -> str:
    """What a resource holds, by a client in this process."""
    async with open_client(server, token=token) as client:
        text = (await client.read_resource(uri)).contents[0].text
        assert isinstance(text, str)
        return text


async def test_the_first_configuration_serves_a_file_and_what_hosts_start_speaks_mcp(here: Path) -> None:
    servers = json.loads(blocks("json")[0])["mcpServers"]
    with serving("config.toml", here=here) as port:
        url = f"http://127.0.0.1:{port}/mcp"
        assert await text_of(url, "files://notes/todo.md") == "milk"
        for server in servers.values():
            assert server["command"].endswith("/.venv/bin/mcptrio")
            told = [word.replace("/path/to", str(here)).replace("8765", port) for word in server["args"]]
            command = StdioCommand((sys.executable, "-m", "mcptrio", *told), environment(), here)
            assert await text_of(command, "files://notes/todo.md") == "milk"


async def test_each_way_to_serve_the_python_example_serves_it(here: Path) -> None:
    with serving("weather:app", here=here) as port:
        assert "oslo" in await text_of(f"http://127.0.0.1:{port}/mcp", "weather://oslo")
    told = (sys.executable, "-m", "mcptrio", "serve", "weather:app", "--stdio")
    assert "oslo" in await text_of(StdioCommand(told, environment(), here), "weather://oslo")


@needs_openssl
def test_who_has_the_token_comes_in_and_nobody_else(here: Path) -> None:
    make, serve = TOKENS.splitlines()
    said(f"/bin/sh -c '{make}'", here)
    token = (here / "tokens").read_text().strip().partition(":")[2]
    with shell(f"{serve} --port 0", here) as process:
        url = re.findall(r'"endpoint":"(.*?)"', line_of(process))[0]
        read = f"mcptrio read {url} files://notes/todo.md"
        assert said(f"env MCPTRIO_TOKEN={token} {read}", here) == "milk"
        with shell(read, here) as refused:
            assert "401" in line_of(refused, error=True)
