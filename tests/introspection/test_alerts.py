"""Alerts: one open for each part and reason, resolved by a word or by time, and a bounded history."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mcptrio.introspection.alerts import HISTORY, MOST_OPEN, Alert, Alerts, Severity

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def utc(at: float) -> datetime:
    return EPOCH + timedelta(seconds=at)


def test_an_alert_says_what_is_wrong_since_when_and_how_bad() -> None:
    alerts = Alerts(utc)
    alerts.trigger("sources/a", "failed", Severity.ERROR, "no route", 3.0)
    assert alerts.open() == (Alert("sources/a", "failed", Severity.ERROR, "no route", utc(3)),)
    assert alerts.history() == ()


def test_a_repetition_counts_up_brings_its_message_and_may_raise_the_severity_and_never_lowers_it() -> None:
    alerts = Alerts(utc)
    for at, severity in enumerate((Severity.WARNING, Severity.ERROR, Severity.INFO)):
        alerts.trigger("p", "r", severity, f"message {at}", at)
    assert alerts.open() == (Alert("p", "r", Severity.ERROR, "message 2", utc(0), 3),)


def test_parts_and_reasons_have_alerts_of_their_own_and_the_worst_come_first() -> None:
    alerts = Alerts(utc)
    alerts.trigger("a", "x", Severity.INFO, "", 1)
    alerts.trigger("a", "y", Severity.CRITICAL, "", 2)
    alerts.trigger("b", "x", Severity.WARNING, "", 3)
    alerts.trigger("c", "x", Severity.CRITICAL, "", 4)
    assert [(alert.part, alert.reason) for alert in alerts.open()] == [
        ("a", "y"),
        ("c", "x"),
        ("b", "x"),
        ("a", "x"),
    ]
    assert alerts.counts() == {
        Severity.INFO: 1,
        Severity.WARNING: 1,
        Severity.ERROR: 0,
        Severity.CRITICAL: 2,
    }


def test_what_is_resolved_is_history_and_what_comes_again_is_a_new_alert() -> None:
    alerts = Alerts(utc)
    alerts.trigger("p", "r", Severity.ERROR, "once", 1)
    alerts.resolve("p", "r", 2)
    alerts.resolve("p", "r", 3)
    alerts.trigger("p", "r", Severity.INFO, "twice", 4)
    assert alerts.history() == (Alert("p", "r", Severity.ERROR, "once", utc(1), 1, utc(2)),)
    assert alerts.open() == (Alert("p", "r", Severity.INFO, "twice", utc(4)),)


def test_what_is_due_by_time_was_resolved_then_however_late_somebody_looks() -> None:
    alerts = Alerts(utc)
    alerts.trigger("late", "r", Severity.ERROR, "", 0, until=60)
    alerts.trigger("soon", "r", Severity.ERROR, "", 0, until=50)
    alerts.settle(49.9)
    assert len(alerts.open()) == 2
    alerts.settle(1000)
    assert [(alert.part, alert.resolved_at) for alert in alerts.history()] == [
        ("late", utc(60)),
        ("soon", utc(50)),
    ]


def test_a_repetition_puts_the_time_off_unless_the_time_had_come() -> None:
    alerts = Alerts(utc)
    alerts.trigger("p", "r", Severity.ERROR, "", 0, until=60)
    alerts.trigger("p", "r", Severity.ERROR, "", 59, until=119)
    alerts.settle(118)
    assert [alert.count for alert in alerts.open()] == [2]
    alerts.trigger("p", "r", Severity.ERROR, "", 200, until=260)
    assert [(alert.since, alert.count) for alert in alerts.open()] == [(utc(200), 1)]
    assert [alert.resolved_at for alert in alerts.history()] == [utc(119)]


def test_the_sooner_of_two_times_counts_until_it_is_to_be_kept() -> None:
    alerts = Alerts(utc)
    alerts.trigger("p", "r", Severity.ERROR, "", 0)
    alerts.resolve_by("p", "r", 10)
    alerts.resolve_by("p", "r", 20)
    alerts.settle(9)
    alerts.keep("p", "r")
    alerts.settle(100)
    assert len(alerts.open()) == 1
    alerts.resolve_by("p", "r", 110)
    alerts.settle(110)
    assert alerts.open() == ()


def test_with_a_new_clock_what_only_waited_for_time_is_over() -> None:
    alerts = Alerts(utc)
    alerts.trigger("waits", "r", Severity.ERROR, "", 1000, until=1060)
    alerts.trigger("holds", "r", Severity.ERROR, "", 1000)
    alerts.settle_all(5)
    assert [alert.part for alert in alerts.open()] == ["holds"]
    assert [alert.resolved_at for alert in alerts.history()] == [utc(5)]


def test_the_history_forgets_the_oldest() -> None:
    alerts = Alerts(utc)
    for at in range(HISTORY + 5):
        alerts.trigger("p", "r", Severity.INFO, "", at)
        alerts.resolve("p", "r", at)
    history = alerts.history()
    assert len(history) == HISTORY
    assert (history[0].since, history[-1].since) == (utc(HISTORY + 4), utc(5))


def test_there_is_a_bound_on_what_is_open_and_what_is_beyond_it_is_counted() -> None:
    alerts = Alerts(utc)
    for number in range(MOST_OPEN + 3):
        alerts.trigger(f"part {number}", "r", Severity.INFO, "", 0)
    alerts.trigger("part 0", "r", Severity.ERROR, "", 1)
    assert len(alerts.open()) == MOST_OPEN
    assert alerts.open()[0].count == 2
    assert alerts.dropped == 3


@dataclass(frozen=True)
class Line:
    """An alert in the model."""

    severity: Severity
    message: str
    since: float
    count: int
    due: float


PARTS = st.sampled_from(["a", "b", "c"])
REASONS = st.sampled_from(["x", "y"])
SPANS = st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0])


class AlertsMachine(RuleBasedStateMachine):
    """Any program of facts and looks, against a model that resolves moment by moment."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.alerts = Alerts(utc)
        self.lines: dict[tuple[str, str], Line] = {}
        self.gone: list[tuple[str, str, int, float]] = []
        self.looked = 0

    def close(self, key: tuple[str, str], at: float) -> None:
        line = self.lines.pop(key, None)
        if line is not None:
            self.gone.append((*key, line.count, at))

    @rule(span=SPANS)
    def time_passes(self, span: float) -> None:
        until = self.now + span
        while due := [line.due for line in self.lines.values() if line.due <= until]:
            self.now = min(due)
            for key in sorted(key for key, line in self.lines.items() if line.due == self.now):
                self.close(key, self.now)
        self.now = until

    @rule(part=PARTS, reason=REASONS, severity=st.sampled_from(Severity), span=SPANS | st.none())
    def trigger(self, part: str, reason: str, severity: Severity, span: float | None) -> None:
        self.time_passes(0.0)
        due = math.inf if span is None else self.now + span
        message = f"at {self.now}"
        before = self.lines.get((part, reason))
        if before is None:
            self.lines[part, reason] = Line(severity, message, self.now, 1, due)
        else:
            self.lines[part, reason] = Line(
                max(severity, before.severity), message, before.since, before.count + 1, due
            )
        self.alerts.trigger(part, reason, severity, message, self.now, until=due)

    @rule(part=PARTS, reason=REASONS)
    def resolve(self, part: str, reason: str) -> None:
        self.time_passes(0.0)
        self.close((part, reason), self.now)
        self.alerts.resolve(part, reason, self.now)

    @rule(part=PARTS, reason=REASONS, span=SPANS)
    def resolve_by(self, part: str, reason: str, span: float) -> None:
        self.time_passes(0.0)
        self.alerts.settle(self.now)
        if (line := self.lines.get((part, reason))) is not None:
            self.lines[part, reason] = replace(line, due=min(line.due, self.now + span))
        self.alerts.resolve_by(part, reason, self.now + span)

    @rule(part=PARTS, reason=REASONS)
    def keep(self, part: str, reason: str) -> None:
        self.time_passes(0.0)
        self.alerts.settle(self.now)
        if (line := self.lines.get((part, reason))) is not None:
            self.lines[part, reason] = replace(line, due=math.inf)
        self.alerts.keep(part, reason)

    @rule()
    def look(self) -> None:
        self.time_passes(0.0)
        before = self.alerts.changes
        seen = self.alerts.open(), self.alerts.history()
        self.alerts.settle(self.now)
        assert ((self.alerts.open(), self.alerts.history()) != seen) == (self.alerts.changes != before)
        assert {(alert.part, alert.reason): alert for alert in self.alerts.open()} == {
            (part, reason): Alert(
                part, reason, line.severity, line.message, utc(line.since), line.count, None
            )
            for (part, reason), line in self.lines.items()
        }
        history = [
            (alert.part, alert.reason, alert.count, alert.resolved_at)
            for alert in reversed(self.alerts.history())
        ]
        gone = [(part, reason, count, utc(at)) for part, reason, count, at in self.gone[-HISTORY:]]
        assert sorted(history) == sorted(gone)
        assert [at for *_, at in history] == [at for *_, at in gone]

    @invariant()
    def it_is_bounded_and_its_soonest_is_right(self) -> None:
        assert set(self.alerts._due) <= set(self.alerts._open)
        assert self.alerts._soonest == min(self.alerts._due.values(), default=math.inf)


TestAlertsMachine = pytest.mark.unmeasured(AlertsMachine.TestCase)
TestAlertsMachine.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
