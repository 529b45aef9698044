"""The soak script runs random programs, and tells of those that fail."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import soak

from tests.live import programs

SCRIPT = Path(__file__).parents[2] / "scripts" / "soak.py"


def test_it_runs_as_many_programs_as_it_is_told_to_on_several_processes() -> None:
    command = [sys.executable, str(SCRIPT), "--programs", "300", "--seed", "7", "--processes", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = dict(re.findall(r"(\w+)=(\S+)", done.stdout.splitlines()[-1]))
    assert (figures["programs"], figures["seed"], figures["failed"]) == ("300", "7", "0")
    assert int(figures["told"]) > 0
    assert int(figures["recovered_True"]) > 0


class Here:
    """A pool of no processes."""

    def __init__(self, processes: int) -> None:
        pass

    def __enter__(self) -> "Here":
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def map(self, function: Callable[[range], object], shares: list[range]) -> list[object]:
        return [function(seeds) for seeds in shares]


def test_a_program_that_fails_is_shown_and_is_the_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(seed: int) -> Counter[str]:
        assert seed % 400, f"program {seed}: a hole"
        return Counter(told=1)

    monkeypatch.setattr(programs, "run", run)
    monkeypatch.setattr(soak, "ProcessPoolExecutor", Here)
    assert soak.main(["--programs", "1000", "--seed", "100"]) == 1
    printed = capsys.readouterr().out
    assert "program 400: a hole" in printed
    assert "program 800: a hole" in printed
    assert "programs=1000 seed=100 failed=2 told=998" in printed
    assert soak.main(["--programs", "100", "--seed", "401"]) == 0
