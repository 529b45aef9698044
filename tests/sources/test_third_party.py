"""The source of the tutorial, a package of its own: installed, served by the command line, watched by two clients."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
import trio
from trio.testing import MockClock

from mcptrio import App
from tests.sources.killing import Record, crash_at_every_report, killed_at_step, watched

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tests" / "third_party" / "tides"
PAGE = ROOT / "docs" / "sources.md"
DEADLINE = 30

CONFIG = """\
[[source]]
kind = "tides"
name = "oslo"
file = "gauge.txt"
every = "100ms"
"""


# As a package, over the command line.


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the package is installed: its wheel, unpacked. Needs no network."""
    built = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "flit_core.wheel", str(PACKAGE), "--outdir", str(built)]
    subprocess.run(command, check=True, capture_output=True, timeout=DEADLINE)
    [wheel] = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(built / "site")
    return built / "site"


class CommandLine:
    """`mcptrio` in a directory, with the package installed."""

    def __init__(self, cwd: Path, site: Path) -> None:
        self._cwd = cwd
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MCP_")}
        self._environment = {**kept, "PYTHONPATH": os.pathsep.join((str(site), str(ROOT)))}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mcptrio", *arguments],
            cwd=self._cwd,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A process that is ended in any case."""
        with subprocess.Popen(
            [sys.executable, "-m", "mcptrio", *arguments],
            cwd=self._cwd,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()


@pytest.fixture
def command(tmp_path: Path, site: Path) -> CommandLine:
    (tmp_path / "mcptrio.toml").write_text(CONFIG)
    (tmp_path / "gauge.txt").write_text("06:00 1.20 m\n")
    return CommandLine(tmp_path, site)


def test_the_package_is_known_by_its_word_and_its_settings_are_checked(
    command: CommandLine, tmp_path: Path
) -> None:
    checked = command.run("check", "mcptrio.toml")
    assert (checked.returncode, checked.stderr) == (0, "")
    lines = [line.split() for line in checked.stdout.splitlines()]
    assert ["source[0].kind", '"tides"', "file", "mcptrio.toml:2"] in lines
    assert ["source[0].every", '"100ms"', "file", "mcptrio.toml:5"] in lines
    (tmp_path / "mcptrio.toml").write_text(CONFIG.replace("100ms", "0s").replace("file =", "fiel ="))
    wrong = command.run("check", "mcptrio.toml")
    assert wrong.returncode == 2
    assert wrong.stderr.splitlines()[1:] == [
        "  mcptrio.toml:4: source[0].fiel: unknown key; did you mean `file`?",
        "  mcptrio.toml:1: source[0].file: is missing and has no default",
    ]
    (tmp_path / "mcptrio.toml").write_text(CONFIG.replace("100ms", "0s"))
    assert command.run("serve", "mcptrio.toml", "--port", "0").stderr.splitlines()[1:] == [
        "  mcptrio.toml:5: source[0].every: is 0 s, but must be between 0.1 s and 3600 s"
    ]


def test_two_clients_hear_of_each_change_exactly_once(command: CommandLine, tmp_path: Path) -> None:
    gauge = tmp_path / "gauge.txt"
    with command.started("serve", "mcptrio.toml", "--port", "0") as server:
        assert server.stdout is not None
        address = json.loads(server.stdout.readline())
        url = address["websocket"]
        with (
            command.started("watch", url, "tides://oslo", "--json") as first,
            command.started("watch", url, "tides://oslo", "--json") as second,
        ):
            for watcher in (first, second):
                assert watcher.stderr is not None
                assert watcher.stderr.readline() == "watching 1 resource\n"
            # A read waits for the source's first word, so what comes now is behind its baseline.
            assert command.run("read", url, "tides://oslo").stdout == "06:00 1.20 m"
            for line in ("07:00 1.45 m", "08:00 1.61 m", "09:00 1.58 m"):
                with gauge.open("a") as file:
                    file.write(line + "\n")
                for watcher in (first, second):
                    assert watcher.stdout is not None
                    told = json.loads(watcher.stdout.readline())
                    assert (told["uri"], told["gap"]) == ("tides://oslo", False)
                assert command.run("read", url, "tides://oslo").stdout == line
            assert published(address["endpoint"]) == 3
            for watcher in (first, second):
                watcher.terminate()
                assert watcher.communicate(timeout=DEADLINE) == ("", "")
        server.terminate()
        server.communicate(timeout=DEADLINE)
        assert server.returncode == 0


def published(endpoint: str) -> int:
    """How many changes the hub of a server has taken."""
    with urllib.request.urlopen(endpoint.replace("/mcp", "/metrics"), timeout=DEADLINE) as answer:
        found = re.search(r"^mcptrio_changes_total (\d+)", answer.read().decode(), re.MULTILINE)
    assert found
    return int(found[1])


def test_the_tutorial_shows_the_package_as_it_is_and_it_is_short() -> None:
    page = PAGE.read_text()
    for name in ("tides.py", "pyproject.toml"):
        text = (PACKAGE / name).read_text()
        assert f"\n{text}```\n" in page, f"{PAGE.name} does not show {name} as it is"
    assert len((PACKAGE / "tides.py").read_text().splitlines()) < 40


# Killed wherever it may be.


@pytest.fixture
def read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read without a thread: virtual time does not wait for one."""

    async def read_text(self: trio.Path) -> str:
        await trio.lowlevel.checkpoint()
        return Path(self).read_text()  # noqa: ASYNC240 - it is a small file, and the point is to have no thread

    monkeypatch.setattr(trio.Path, "read_text", read_text)


def tides() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tides", PACKAGE / "tides.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Gauge:
    """An app with the tutorial's source, and its file."""

    def __init__(self, path: Path) -> None:
        self.file = path / "gauge.txt"
        self.file.write_text("first\n")
        self.app = App("house")
        self.record = Record(self.app)
        module = tides()
        module.install(self.app.registry, module.Gauge("oslo", str(self.file), every=10))

    async def rise(self) -> None:
        """Append lines, one or several at a time and one in halves, and see each of them announced once."""
        await trio.sleep(500)  # the baseline has been seen by then, however often it was killed
        told: list[str] = []
        for text in ("a\n", "b\nc\n", "d", "\ne\n"):
            with self.file.open("a") as file:
                file.write(text)
            told = [line for line in self.file.read_text().split("\n")[1:-1] if line]
            await self.record.wait(len(told))
        await trio.sleep(500)
        assert [change.data for change in self.record.changes] == [{"line": line} for line in told]
        versions = [str(number) for number in range(2, len(told) + 2)]  # the first line is the baseline
        assert [(change.metadata or {})["version"] for change in self.record.changes] == versions


@pytest.mark.usefixtures("read_at_once")
async def test_killed_after_any_step_it_announces_each_line_once(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    killed = 0
    for step in range(1, 20):
        gauge = Gauge(tmp_path)
        with killed_at_step(gauge.app.sources.supervisor, "oslo", step, kills=6) as killer:
            async with watched(gauge.record, "tides://oslo"):
                await gauge.rise()
        killed += killer.killed
    assert killed > 20


@pytest.mark.usefixtures("read_at_once")
@pytest.mark.parametrize("when", ["before", "behind", "both"])
async def test_crashing_around_each_report_it_announces_each_line_once(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    crashed = crash_at_every_report(monkeypatch, when)
    gauge = Gauge(tmp_path)
    async with watched(gauge.record, "tides://oslo"):
        await gauge.rise()
    assert len(crashed) >= 5


@pytest.mark.usefixtures("read_at_once")
async def test_without_its_file_it_is_failed_and_goes_on_when_there_is_one(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    gauge = Gauge(tmp_path)
    gauge.file.unlink()
    feed = gauge.app.sources.feeds["oslo"]
    async with watched(gauge.record, "tides://oslo"):
        await trio.sleep(100)
        assert feed.state == "failed"
        assert "FileNotFoundError" in feed.reason
        gauge.file.write_text("first\n")
        await gauge.rise()
        assert feed.state == "polling"
