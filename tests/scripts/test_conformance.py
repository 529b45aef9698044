"""What the suite wrote down is a success only when everything that was asked for passed."""

from __future__ import annotations

import json
from pathlib import Path

import conformance
import pytest
from conformance import Outcome, Requirements, Verdict, outcomes


@pytest.fixture
def verdict(monkeypatch: pytest.MonkeyPatch) -> Verdict:
    monkeypatch.setitem(conformance.REQUIREMENTS, "2020-02-02", Requirements(2, 5, ("beside",)))
    return Verdict("2020-02-02", (Outcome("one", 2, ()), Outcome("two", 3, ())), (Outcome("beside", 1, ()),))


def test_all_checks_of_all_scenarios_are_a_success(verdict: Verdict) -> None:
    assert verdict.problems() == []
    assert verdict.summary() == "2020-02-02: 2/2 scenarios, 5/5 checks; not scored: beside 1"


@pytest.mark.parametrize(
    ("scored", "unscored", "problem"),
    [
        ([Outcome("one", 2, ())], [Outcome("beside", 1, ())], "1 scenarios and 2 checks"),
        (
            [Outcome("one", 2, ()), Outcome("two", 2, ())],
            [Outcome("beside", 1, ())],
            "2 scenarios and 4 checks",
        ),
        ([Outcome("one", 2, ()), Outcome("two", 3, ("a: warning: b",))], [], "two: a: warning: b"),
        ([Outcome("one", 2, ()), Outcome("two", 3, ())], [], "beside: not one check passed"),
        ([Outcome("one", 2, ()), Outcome("two", 3, ())], [Outcome("beside", 0, ())], "beside: not one check"),
        (
            [Outcome("one", 2, ()), Outcome("two", 3, ())],
            [Outcome("beside", 1, ("a: failure: b",))],
            "beside: a: failure: b",
        ),
    ],
)
def test_what_did_not_run_or_did_not_pass_is_a_problem(
    verdict: Verdict, scored: list[Outcome], unscored: list[Outcome], problem: str
) -> None:
    problems = Verdict(verdict.revision, tuple(scored), tuple(unscored)).problems()
    assert any(line.startswith(problem) for line in problems), problems


def test_outcomes_are_read_by_scenario(tmp_path: Path) -> None:
    ran = tmp_path / "server-json-schema-2020-12-2026-11-20T15-02-56-748Z"
    ran.mkdir()
    checks = [
        {"id": "a", "status": "SUCCESS", "description": "A"},
        {"id": "b", "status": "FAILURE", "description": "B", "errorMessage": "no b"},
        {"id": "c", "status": "WARNING", "description": "C"},
        {"id": "d", "status": "INFO", "description": "D"},
    ]
    (ran / "checks.json").write_text(json.dumps(checks))
    found = Outcome("json-schema-2020-12", 1, ("b: failure: no b", "c: warning: C"))
    assert outcomes(tmp_path) == {"json-schema-2020-12": found}
