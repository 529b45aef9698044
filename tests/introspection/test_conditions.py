"""Which facts trigger which alerts, and what resolves them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from mcptrio.introspection.alerts import Alerts
from mcptrio.introspection.conditions import Conditions
from mcptrio.live import Change, SourceState
from mcptrio.supervision import Escalation, Event, Report

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
CRASH = ValueError("password=hunter2")


@dataclass
class Scene:
    """Conditions, and a clock that only goes on."""

    now: float = 100.0
    alerts: Alerts = field(default_factory=lambda: Alerts(lambda at: EPOCH + timedelta(seconds=at)))

    def __post_init__(self) -> None:
        self.conditions = Conditions(
            self.alerts, lambda name: {"peers": "peers", "rooms": "sources/rooms"}.get(name)
        )

    def report(self, event: Event, where: str = "root/pump", error: BaseException | None = None) -> None:
        supervisor, _, child = where.partition("/")
        self.conditions.report(Report(self.now, supervisor, child, event, error, None, 0))

    def crash(self, where: str = "root/pump", *, restarted: bool = True) -> None:
        self.report(Event.EXITED, where, CRASH)
        if restarted:
            self.report(Event.RESTARTING, where, CRASH)

    def source(self, state: SourceState, reason: str = "") -> None:
        self.conditions.source_state("mail", state, reason, self.now)

    def open(self, after: float = 0.0) -> list[tuple[str, str, str, int]]:
        self.now += after
        self.alerts.settle(self.now)
        return [(alert.severity.word, alert.part, alert.reason, alert.count) for alert in self.alerts.open()]

    def resolved(self) -> list[float]:
        """How long after the scene's beginning, oldest first."""
        return [
            (alert.resolved_at - EPOCH).total_seconds() - 100
            for alert in reversed(self.alerts.history())
            if alert.resolved_at is not None
        ]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_degraded_source_is_a_warning_until_it_works(scene: Scene) -> None:
    scene.source(SourceState.DEGRADED, "slow, token=hunter2")
    assert scene.open() == [("warning", "sources/mail", "degraded", 1)]
    assert scene.alerts.open()[0].message == "slow, token=***"
    scene.source(SourceState.DEGRADED, "slower")
    assert scene.open(1000) == [("warning", "sources/mail", "degraded", 2)]
    scene.source(SourceState.LIVE)
    assert scene.open() == []


@pytest.mark.parametrize("well", [SourceState.LIVE, SourceState.POLLING, SourceState.IDLE])
def test_a_failed_source_is_an_error_until_it_works_or_nobody_wants_it(
    scene: Scene, well: SourceState
) -> None:
    scene.source(SourceState.STARTING)
    scene.source(SourceState.FAILED, "no route")
    scene.source(SourceState.STARTING)
    scene.source(SourceState.FAILED, "no route")
    assert scene.open(1000) == [("error", "sources/mail", "failed", 2)]
    scene.source(SourceState.STARTING)
    scene.source(well)
    assert scene.open() == []


def test_a_source_is_degraded_or_failed_and_not_both(scene: Scene) -> None:
    scene.source(SourceState.DEGRADED, "slow")
    scene.source(SourceState.FAILED, "gone")
    assert scene.open() == [("error", "sources/mail", "failed", 1)]
    scene.source(SourceState.DEGRADED, "slow again")
    assert scene.open() == [("warning", "sources/mail", "degraded", 1)]


def test_a_crash_is_over_when_the_child_has_run_for_ten_seconds(scene: Scene) -> None:
    scene.crash()
    assert scene.open(1000) == [("error", "root/pump", "crashed", 1)]
    assert scene.alerts.open()[0].message == "ValueError: password=***"
    scene.report(Event.STARTED)
    assert scene.open(9.875) != []
    scene.crash()
    assert scene.open(0.5) == [("error", "root/pump", "crashed", 2)]
    scene.report(Event.STARTED)
    assert scene.open(60) == []
    assert scene.resolved() == [1000 + 9.875 + 0.5 + 10]


def test_a_crash_is_over_when_the_child_is_stopped(scene: Scene) -> None:
    scene.crash()
    scene.report(Event.STOPPED)
    assert scene.open() == []


def test_a_crash_that_nothing_follows_is_over_after_a_minute(scene: Scene) -> None:
    scene.crash("listeners/listener 1", restarted=False)
    assert scene.open(59) == [("error", "listeners/listener 1", "crashed", 1)]
    assert scene.open(1) == []


def test_a_normal_end_is_no_alert(scene: Scene) -> None:
    scene.report(Event.EXITED)
    scene.report(Event.RESTARTING)
    scene.report(Event.STARTED)
    scene.report(Event.STOPPED)
    assert (scene.open(), scene.alerts.changes) == ([], 0)


def test_children_that_come_in_thousands_share_one_alert(scene: Scene) -> None:
    for number in range(1000):
        scene.crash(f"peers/connection 203.0.113.7:{number} #{number}", restarted=False)
    scene.crash("rooms/chat://general")
    scene.report(Event.STARTED, "rooms/chat://general")
    assert scene.open(59.9) == [("error", "peers", "crashed", 1000), ("error", "sources/rooms", "crashed", 1)]
    assert [alert.message for alert in scene.alerts.open()] == [
        "connection #999: ValueError: password=***",
        "chat://general: ValueError: password=***",
    ]
    assert scene.open(0.1) == []


def test_who_overstays_is_a_warning_until_it_has_ended(scene: Scene) -> None:
    scene.report(Event.OVERSTAYED, "root/pump")
    assert scene.open(1000) == [("warning", "root/pump", "overstayed", 1)]
    scene.report(Event.STOPPED, "root/other")
    assert scene.open() != []
    scene.report(Event.STOPPED, "root/pump")
    assert scene.open() == []


def test_the_alert_of_many_who_overstay_ends_with_the_last_of_them(scene: Scene) -> None:
    for child in ("a #1", "b #2"):
        scene.report(Event.OVERSTAYED, f"peers/{child}")
    scene.report(Event.STOPPED, "peers/a #1")
    assert scene.open() == [("warning", "peers", "overstayed", 2)]
    scene.report(Event.EXITED, "peers/b #2")
    assert scene.open() == []


def test_a_supervisor_that_gives_up_is_critical_until_it_runs_again(scene: Scene) -> None:
    scene.crash("hub/pump", restarted=False)
    scene.report(Event.ESCALATED, "hub/pump", CRASH)
    scene.report(Event.EXITED, "root/hub", Escalation("too many", ()))
    scene.report(Event.RESTARTING, "root/hub", Escalation("too many", ()))
    assert scene.open(1000) == [("critical", "hub", "escalated", 1)]
    assert scene.alerts.open()[0].message == (
        "too many restarts, the last of pump after ValueError: password=***"
    )
    scene.report(Event.STARTED, "hub/pump")
    assert scene.open(5) != []
    scene.report(Event.STARTED, "root/hub")
    assert scene.open(5) == []


def test_the_root_runs_again_when_it_starts_a_child(scene: Scene) -> None:
    scene.report(Event.ESCALATED, "root/hub")
    assert scene.alerts.open()[0].message == "too many restarts, the last of hub"
    scene.report(Event.STARTED, "root/hub")
    assert scene.open(10) == []


def test_a_change_set_aside_is_an_error_for_a_minute_after_the_last(scene: Scene) -> None:
    change = Change(uri="a://x?token=hunter2", source="mail")
    scene.conditions.set_aside(change, CRASH, scene.now)
    scene.now += 50
    scene.conditions.set_aside(Change(uri="a://y"), CRASH, scene.now)
    assert scene.open(59) == [("error", "pump", "change set aside", 2)]
    assert scene.alerts.open()[0].message == "a://y of the program: ValueError: password=***"
    assert scene.open(1) == []


def test_a_rebuilt_hub_is_critical_for_a_minute(scene: Scene) -> None:
    scene.conditions.rebuilt(scene.now)
    assert scene.open(59) == [("critical", "hub", "rebuilt", 1)]
    assert scene.open(1) == []


def test_gaps_because_too_much_waited_are_a_warning_until_there_is_none_for_a_minute(scene: Scene) -> None:
    scene.conditions.gaps(3, scene.now)
    assert scene.open(59) == [("warning", "hub", "gaps", 1)]
    scene.conditions.gaps(1, scene.now)
    assert scene.open(59) == [("warning", "hub", "gaps", 2)]
    assert scene.alerts.open()[0].message.startswith("1 gaps: ")
    assert scene.open(1) == []


def test_connections_are_told_of_from_seventy_percent_on_and_at_the_limit(scene: Scene) -> None:
    for open, expected in [
        (69, []),
        (70, [("info", "listener 1", "many connections", 1)]),
        (99, [("info", "listener 1", "many connections", 1)]),
        (100, [("warning", "listener 1", "no more connections", 1)]),
        (99, [("info", "listener 1", "many connections", 1)]),
        (69, []),
        (100, [("warning", "listener 1", "no more connections", 1)]),
        (0, []),
    ]:
        scene.conditions.connections("listener 1", open, 100, scene.now)
        assert scene.open() == expected, open


def test_a_limit_of_one_connection_is_reached_and_not_approached(scene: Scene) -> None:
    scene.conditions.connections("memory", 0, 1, scene.now)
    assert scene.open() == []
    scene.conditions.connections("memory", 1, 1, scene.now)
    assert scene.open() == [("warning", "memory", "no more connections", 1)]
