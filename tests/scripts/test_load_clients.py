"""The load script runs and counts right; what it measures is read by people, not judged here."""

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "load_clients.py"


def test_every_client_is_delivered_every_paced_update_and_none_is_lost() -> None:
    command = ["--clients", "20", "--publishes", "5", "--rate", "20", "--callers", "4", "--seconds", "0.2"]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *command], capture_output=True, text=True, timeout=60, check=True
    )
    paced = next(line for line in done.stdout.splitlines() if line.startswith("paced updates"))
    figures = dict(re.findall(r"(\w+)=(\S+)", paced))
    assert int(figures["delivered"]) + int(figures["merged"]) == 100
    assert figures["lost"] == "0"
    assert "exit_status=0" in done.stdout
    assert "tools_call_to_plain_echo_per_core=" in done.stdout
