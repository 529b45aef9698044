"""The bench runs and measures what it says; what it measures is read by people, not judged here."""

import os
import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench.py"
SHORT = ["--subscriptions", "500", "--rounds", "5", "--leaves", "2", "--clients", "10"]


def bench(lenient: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *SHORT, "--lenient", lenient]
    # Coverage is nothing for what measures, and takes ten times as long.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env)


def test_goals_are_judged_and_figures_without_one_are_not() -> None:
    done = bench("1000")
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^(\w+).* us +ok$", done.stdout, re.MULTILINE) == [
        *("subscribe", "unsubscribe", "subscribe"),
        *("publish", "publish"),
        "leave",
    ]
    assert "memory for each subscription" in done.stdout
    assert "deliveries to 1,000 listens, one id" in done.stdout
    assert "storm: 10 x 100 missed, each client" in done.stdout


def test_a_goal_that_is_missed_is_said_and_is_the_exit_status() -> None:
    done = bench("0.0001")
    assert done.returncode == 1, done.stderr
    assert "MISSED" in done.stdout
