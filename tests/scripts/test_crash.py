"""The crash script kills parts of a real server, and can tell that nothing was lost."""

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "crash.py"


def test_twenty_kills_of_a_real_server_lose_nothing() -> None:
    command = ["--kills", "20", "--seed", "1", "--clients", "6"]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = dict(re.findall(r"(\w+)=(\S+)", done.stdout))
    assert int(figures["kills"]) == 20
    assert int(figures["deliveries"]) > 0
    assert figures["exit_status"] == "0"
    assert figures["lost"] == "nothing"
