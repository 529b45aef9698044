"""A machine that is followed step by step by a model, and compared with it after every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from random import Random

from mcptrio.supervision import (
    AutoShutdown,
    ChildSpec,
    ChildState,
    Escalation,
    Event,
    Intensity,
    Report,
    StartFailed,
    Strategy,
)
from mcptrio.supervision.lives import Phase, Shell
from mcptrio.supervision.machine import Machine
from mcptrio.supervision.record import ChildRecord, Then
from tests.supervision.model import Line, Model, Told, seen
from tests.supervision.programs import Step

FATE = {Then.STOP: "stop", Then.FORGET: "gone"}


class Shadowed(Machine):
    """Tells a model of every input, and raises where the two differ. `on_report` may give inputs in its turn."""

    def __init__(
        self,
        strategy: Strategy,
        auto_shutdown: AutoShutdown,
        max_restarts: int,
        within: float,
        shell: Shell,
        on_report: Callable[[Report], None],
    ) -> None:
        def told(report: Report) -> None:
            self.reports.append(report)
            hearing, self._hearing = self._hearing, True
            try:
                assert not hearing, "told of one thing while still being told of another"
                on_report(report)
            except AssertionError as error:  # a supervisor lets no exception of who hears it out
                self.failure = error
                raise
            finally:
                self._hearing = False

        intensity = Intensity(max_restarts, within)
        super().__init__("root", strategy, auto_shutdown, intensity, Random(0), shell, told)
        self.model = Model(strategy, auto_shutdown, max_restarts, within)
        self.reports: list[Report] = []
        self.starts: list[tuple[str, object]] = []
        self.opened = True
        self.closed = True  # its shell has begun to close it
        self.outcomes: list[BaseException | None] = []
        self.failure: BaseException | None = None
        self._lines: dict[ChildRecord, Line] = {}
        self._compared = self._judged = 0
        self._depth = 0
        self._hearing = False

    # What the model is told besides the inputs.

    def line(self, child: ChildRecord) -> Line:
        """The model's of a record; that of an initial child is not known before it is asked for."""
        if child not in self._lines:
            known = set(self._lines.values())
            self._lines[child] = next(
                line for line in self.model.bodies if line.spec is child.spec and line not in known
            )
        return self._lines[child]

    def linked(self, one: ChildRecord, other: ChildRecord) -> None:
        first, second = self.line(one), self.line(other)
        if second not in first.links:
            first.links.append(second)
            second.links.append(first)

    def unlinked(self, one: ChildRecord, other: ChildRecord) -> None:
        first, second = self.line(one), self.line(other)
        if second in first.links:
            first.links.remove(second)
            second.links.remove(first)

    def watched(self, child: ChildRecord, key: int) -> None:
        self.line(child).monitors.append(key)

    def unwatched(self, child: ChildRecord, key: int) -> None:
        if key in self.line(child).monitors:
            self.line(child).monitors.remove(key)

    def refusal(self, step: Step) -> type[Exception] | None:
        """How what is asked must be refused now; None: it must be done."""
        model = self.model
        line, other = model.find(step.name), model.find(step.other)
        at_rest = line is not None and line.state in (ChildState.STOPPED, ChildState.EXITED)
        match step.what:
            case "start" | "start_nowait" if model.phase != "open":
                return RuntimeError
            case "start" | "start_nowait":
                coming = any(spec.name == step.name for spec in model.coming)
                free = not coming and (line is None or line.state is ChildState.EXITED)
                return None if free else ValueError
            case "restart" | "delete" | "exit" | "link" if line is None:
                return LookupError
            case "link" if other is None:
                return LookupError
            case "link":
                assert line is not None
                assert other is not None
                return None if line is not other and line.body and other.body else RuntimeError
            case "restart":
                return None if at_rest and model.phase == "open" else RuntimeError
            case "delete":
                return None if at_rest else RuntimeError
        return None

    # Inputs.

    def open(self, specs: Sequence[ChildSpec], on_open: Callable[[], None], now: float) -> None:
        def opened() -> None:
            self.opened = True
            on_open()

        self.opened = self.closed = False
        with self._step(now):
            self.model.open(specs)
            super().open(specs, opened, now)

    def add(self, child: ChildRecord, now: float) -> None:
        with self._step(now):
            line = self._lines[child] = Line(child.spec)
            line.asked = child.on_start is not None
            self.model.add(line)
            super().add(child, now)

    def start_again(self, child: ChildRecord, now: float) -> None:
        with self._step(now):
            self.line(child).asked = child.on_start is not None
            self.model.again(self.line(child))
            super().start_again(child, now)

    def ready(self, child: ChildRecord, now: float) -> None:
        with self._step(now):
            self.model.is_ready(self.line(child))
            super().ready(child, now)

    def ended(
        self, child: ChildRecord, error: BaseException | None, now: float, *, fatal: bool = False
    ) -> None:
        with self._step(now):
            self.model.ended(self.line(child), seen(error), fatal)
            super().ended(child, error, now, fatal=fatal)

    def stop(self, child: ChildRecord, now: float, then: Then = Then.STOP) -> bool:
        with self._step(now):
            self.line(child).asked = child.on_start is not None
            self.model.stop(self.line(child), FATE[then])
            return super().stop(child, now, then)

    def fail(self, child: ChildRecord, error: BaseException, now: float) -> None:
        with self._step(now):
            self.model.fail(self.line(child), seen(error))
            super().fail(child, error, now)

    def forget(self, child: ChildRecord, now: float) -> None:
        with self._step(now):
            self.model.forget(self.line(child))
            super().forget(child, now)

    def wake(self, now: float) -> None:
        with self._step(now):
            self.model.wake()
            super().wake(now)

    def close(self) -> list[list[ChildRecord]]:
        self.closed = True
        statistics, model = self.statistics(self.escalated), self.model
        assert statistics.started_total == len(model.bodies)
        assert statistics.restarting == sum(line.state is ChildState.RESTARTING for line in model.table)
        assert statistics.running == sum(line.state is ChildState.RUNNING for line in model.table)
        groups = super().close()
        expected = self.model.close()
        assert [[self.line(child) for child in group] for group in groups] == expected
        return groups

    def stop_group(self, group: list[ChildRecord], now: float) -> float | None:
        with self._step(now):
            expected = self.model.stop_group([self.line(child) for child in group])
            patience = super().stop_group(group, now)
            assert patience == expected
            return patience

    def overdue(self, now: float) -> None:
        with self._step(now):
            self.model.overdue()
            super().overdue(now)

    def end(self) -> Escalation | StartFailed | None:
        outcome, expected = super().end(), self.model.end()
        if isinstance(outcome, Escalation):
            assert tuple(_told(report) for report in outcome.reports) == expected
            assert outcome.__cause__ is outcome.reports[-1].error
        else:
            assert seen(outcome) == expected
        assert not self.children
        assert not self.awaited
        assert len(self.timers) == 0
        self._judge(outcome)
        self.outcomes.append(outcome)
        return outcome

    # What is compared.

    def _answer_start(self, child: ChildRecord, failure: StartFailed | None) -> None:
        if child.on_start is not None:
            self._untold.append(partial(self.starts.append, (child.spec.name, seen(failure))))
        super()._answer_start(child, failure)

    def _judge(self, outcome: Escalation | StartFailed | None) -> None:
        """Counted over what was told: one restart too many escalates, with those that were, and nothing else does."""
        told, self._judged = self.reports[self._judged :], len(self.reports)
        restarts: list[Report] = []
        window: list[tuple[float, str, Event]] = []
        for report in told:
            if report.event in (Event.RESTARTING, Event.ESCALATED):
                assert report.event is Event.RESTARTING or isinstance(outcome, Escalation)
                restarts.append(report)
                since = report.at - self.model.within
                window = [(one.at, one.child, Event.EXITED) for one in restarts if one.at >= since]
                assert (len(window) > self.model.max_restarts) == (report.event is Event.ESCALATED)
        if isinstance(outcome, Escalation):
            assert outcome.reports[-1] is restarts[-1]
            assert [(report.at, report.child, report.event) for report in outcome.reports[:-1]] == window

    @contextmanager
    def _step(self, now: float) -> Iterator[None]:
        # What was due before now has happened before now.
        assert self.model.next_due() >= now
        self.model.now = now
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
        if self._depth == 0 and self.failure is None:
            try:
                self._compare()
            except AssertionError as error:
                self.failure = error
                raise

    def _compare(self) -> None:
        model = self.model
        table = [
            (
                child.spec.name,
                child.state,
                child.since,
                child.restarts,
                seen(child.last_error),
                child.body is not None,
            )
            for child in self.children.values()
        ]
        assert table == [line.seen() for line in model.table]
        new = [_told(report) for report in self.reports[self._compared :]]
        assert new == model.reports[self._compared :]
        self._compared = len(self.reports)
        assert self.next_due() == model.next_due()
        assert self.starts == model.starts
        assert (self.phase is Phase.OPEN, self.phase is Phase.CLOSING) == (
            model.phase == "open",
            model.phase == "closing",
        )
        assert self.opened is model.opened or self.phase is not Phase.OPEN
        assert {self.line(child) for child in self.awaited} == set(model.awaited())


def _told(report: Report) -> Told:
    return (report.at, report.child, report.event, seen(report.error), report.delay, report.restarts)
