"""Has the official conformance suite judge the server in scripts/conformance_server.

`./scripts/conformance` makes the environments and runs this: both frozen requirement sets, each with the scenarios that
are run beside it and never scored. It fails unless every check of every scenario that concerns a server passes, in
just the numbers below: a scenario that was not run, or a check that was skipped, is no success.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
JUDGE = ROOT / ".cache" / "judges" / "conformance"
"""Where scripts/environment.sh puts Node and the suite."""
SUITE = JUDGE / "suite" / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"

DEADLINE = 100
"""Seconds for a run of the suite, and for the server's start and end."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a revision asks of a server: so many scored scenarios and checks, and scenarios that are not scored."""

    scenarios: int
    checks: int
    unscored: tuple[str, ...]


REQUIREMENTS = {
    "2025-11-25": Requirements(
        30, 70, ("json-schema-2020-12", "server-session-lifecycle", "server-sse-polling")
    ),
    "2026-07-28": Requirements(
        37, 120, ("json-schema-2020-12", "http-header-validation", "http-custom-header-server-validation")
    ),
}
"""Left out are extensions that this server does not have: tasks and skills."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one scenario ended."""

    scenario: str
    passed: int
    problems: tuple[str, ...]
    """The checks that failed, and the recommendations that were not followed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a requirement set ended: the scored scenarios and the others."""

    revision: str
    scored: tuple[Outcome, ...]
    unscored: tuple[Outcome, ...]

    def problems(self) -> list[str]:
        """Why this is no success, a line each; nothing when it is one."""
        wanted = REQUIREMENTS[self.revision]
        lines = [
            f"{outcome.scenario}: {problem}"
            for outcome in (*self.scored, *self.unscored)
            for problem in outcome.problems
        ]
        missing = set(wanted.unscored) - {outcome.scenario for outcome in self.unscored if outcome.passed}
        lines += [f"{scenario}: not one check passed" for scenario in sorted(missing)]
        if (self.green_scenarios, self.passed_checks) != (wanted.scenarios, wanted.checks):
            lines.append(
                f"{self.green_scenarios} scenarios and {self.passed_checks} checks of {self.revision} passed, "
                f"and not {wanted.scenarios} and {wanted.checks}"
            )
        return lines

    @property
    def green_scenarios(self) -> int:
        """How many scored scenarios passed all their checks."""
        return sum(outcome.passed > 0 and not outcome.problems for outcome in self.scored)

    @property
    def passed_checks(self) -> int:
        """How many checks of scored scenarios passed."""
        return sum(outcome.passed for outcome in self.scored)

    def summary(self) -> str:
        """One line for people."""
        wanted = REQUIREMENTS[self.revision]
        beside = ", ".join(f"{outcome.scenario} {outcome.passed}" for outcome in self.unscored)
        return (
            f"{self.revision}: {self.green_scenarios}/{wanted.scenarios} scenarios, "
            f"{self.passed_checks}/{wanted.checks} checks; not scored: {beside}"
        )


@contextlib.contextmanager
def served() -> Iterator[str]:
    """The server under test as a process of its own; its URL. It must end politely.

    Raises:
        RuntimeError: it did not start, or did not end with status 0.
    """
    command = [sys.executable, "-m", "mcptrio", "serve", "conformance_server:app", "--port", "0"]
    paths = [str(ROOT), str(ROOT / "scripts"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            if not line:
                raise RuntimeError("the server under test did not start")
            yield json.loads(line)["endpoint"]
            server.terminate()
            if server.wait(DEADLINE):
                raise RuntimeError(f"the server under test ended with status {server.returncode}")
        finally:
            server.kill()


def _suite(*arguments: str) -> str:
    """Run the suite; what it said. It exits with 1 where something failed: what, its files tell better."""
    done = subprocess.run(
        [JUDGE / "bin" / "node", SUITE, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    return done.stdout


def required(revision: str) -> list[str]:
    """The server scenarios that a revision's frozen set scores."""
    listed = _suite("list", "--requirements", revision)
    section = listed.partition("Server scenarios")[2].partition("Client scenarios")[0]
    return re.findall(r"^  - (\S+)", section, re.MULTILINE)


def outcomes(directory: Path) -> dict[str, Outcome]:
    """What the suite wrote down of each scenario that it ran."""
    found = {}
    for path in sorted(directory.glob("server-*/checks.json")):
        # server-<scenario>-2026-01-01T00-00-00-000Z
        scenario = re.sub(r"-\d{4}-\d\d-\d\dT[\dZ-]+$", "", path.parent.name.removeprefix("server-"))
        checks = json.loads(path.read_text())
        found[scenario] = Outcome(
            scenario,
            sum(check["status"] == "SUCCESS" for check in checks),
            tuple(
                f"{check['id']}: {check['status'].lower()}: {check.get('errorMessage') or check['description']}"
                for check in checks
                if check["status"] in ("FAILURE", "WARNING")
            ),
        )
    return found


def judge(url: str, revision: str, scenarios: Sequence[str] = ()) -> Verdict:
    """Run a revision's frozen set, or some scenarios at its wire, against the server at `url`.

    Raises:
        RuntimeError: the suite ran nothing; the message has what it said.
    """
    with tempfile.TemporaryDirectory() as directory:
        if scenarios:
            said = "".join(
                _suite(
                    *("server", "--url", url, "--output-dir", directory),
                    *("--scenario", scenario, "--spec-version", revision),
                )
                for scenario in scenarios
            )
        else:
            said = _suite("server", "--url", url, "--requirements", revision, "--output-dir", directory)
        found = outcomes(Path(directory))
    if not found:
        raise RuntimeError(f"the suite ran nothing and said:\n{said}")
    scored = required(revision)
    unscored = REQUIREMENTS[revision].unscored
    return Verdict(
        revision,
        tuple(found[name] for name in scored if name in found),
        tuple(found[name] for name in unscored if name in found),
    )


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/conformance", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--requirements", choices=[*REQUIREMENTS, "all"], default="all", metavar="REVISION")
    parser.add_argument(
        "--scenario", action="append", default=[], metavar="NAME", help="only this one; repeatable"
    )
    options = parser.parse_args(arguments)
    if not (JUDGE / "installed").exists():
        print("the official conformance suite is not installed: run ./scripts/conformance", file=sys.stderr)
        return 2
    green = True
    for revision in REQUIREMENTS if options.requirements == "all" else (options.requirements,):
        with served() as url:
            verdict = judge(url, revision, options.scenario)
        if options.scenario:
            problems = [
                f"{outcome.scenario}: {problem}"
                for outcome in (*verdict.scored, *verdict.unscored)
                for problem in outcome.problems
            ]
            for outcome in (*verdict.scored, *verdict.unscored):
                print(f"{revision}: {outcome.scenario}: {outcome.passed} checks passed")
        else:
            problems = verdict.problems()
            print(verdict.summary())
        for problem in problems:
            print(f"  {problem}")
        green = green and not problems
    return 0 if green else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
