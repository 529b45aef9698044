"""The script that sends refused requests runs, and counts right; a hundred thousand of them are for by hand."""

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "reject.py"


def test_refused_requests_over_real_sockets_get_their_statuses_and_leave_nothing() -> None:
    command = ["--requests", "500", "--workers", "10"]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"(?m)^requests=500 memory=\S+MB rate=\S+/s$", done.stdout)
    assert re.search(r"(?m)^wrong=nothing left=nothing growth=\S+MB exit_status=0$", done.stdout)
