"""The script of slow clients runs and counts right; how long anything takes is read by people, not judged here."""

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "slow_clients.py"
SHORT = "--clients 20 --stopped 4 --rounds 1 --seconds 0.5 --rate 20 --stall 8 --lenient 1000"


def test_those_who_stop_are_held_within_bounds_and_told_without_a_hole_and_closed_at_last() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *SHORT.split()], capture_output=True, text=True, timeout=60, check=True
    )
    lines = {line[:22].strip(): dict(re.findall(r"(\w+)=(\S+)", line)) for line in done.stdout.splitlines()}
    for name in (
        "pending within bounds",
        "waiting within bounds",
        "too much is a gap",
        "told without a hole",
        "stopped ones closed",
    ):
        assert lines[name] == {"verdict": "ok"}, done.stdout
    assert int(lines["while stopped"]["pending_most"]) >= 1024 * 1024
    assert int(lines["while stopped"]["waiting_most"]) > 0
    assert lines["some stopped"]["delivered"] == lines["all read"]["delivered"] == str(16 * 10)
    assert lines["after reading again"] == {"holes": "0", "gaps": "0", "told_the_last": "True"}
    assert lines["closed for good"]["peers"] == str(20 - 4 + 1)
    assert lines["closed for good"]["waiting"] == "0"
    assert lines["SIGTERM"]["exit_status"] == "0"
