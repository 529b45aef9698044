"""A machine that is followed step by step by a model, and compared with it after every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random

from mcptrio.supervision import (
    AutoShutdown,
    ChildSpec,
    Down,
    Escalation,
    Intensity,
    Report,
    StartFailed,
    Strategy,
)
from mcptrio.supervision.lives import Phase, Shell
from mcptrio.supervision.machine import Machine
from mcptrio.supervision.record import ChildRecord, Then
from tests.supervision.model import Line, Model, Told, seen

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
            on_report(report)

        intensity = Intensity(max_restarts, within)
        super().__init__("root", strategy, auto_shutdown, intensity, Random(0), shell, told)
        self.model = Model(strategy, auto_shutdown, max_restarts, within)
        self.reports: list[Report] = []
        self.bodies: list[ChildRecord] = []
        self.starts: list[tuple[str, object]] = []
        self.opened = True
        self.failure: BaseException | None = None
        self._lines: dict[ChildRecord, Line] = {}
        self._depth = 0

    # What the model is told besides the inputs.

    def line(self, child: ChildRecord) -> Line:
        """The model's of a record; that of an initial child is not known before it is asked for."""
        if child not in self._lines:
            known = set(self._lines.values())
            self._lines[child] = next(
                line for line in self.model.bodies if line.spec is child.spec and line not in known
            )
        return self._lines[child]

    def answered(self, child: ChildRecord) -> Callable[[BaseException | None], None]:
        """To be called with the answer to whoever waits for a start."""

        def answer(failure: BaseException | None) -> None:
            self.starts.append((child.spec.name, seen(failure)))

        return answer

    # Inputs.

    def open(self, specs: Sequence[ChildSpec], on_open: Callable[[], None], now: float) -> None:
        def opened() -> None:
            self.opened = True
            on_open()

        self.opened = False
        with self._step(now):
            self.model.open(specs)
            super().open(specs, opened, now)

    def add(self, child: ChildRecord, now: float) -> None:
        with self._step(now):
            line = self._lines[child] = Line(child.spec)
            self._note_asker(child)
            self.model.add(line)
            super().add(child, now)

    def start_again(self, child: ChildRecord, now: float) -> None:
        with self._step(now):
            self._note_asker(child)
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
        return outcome

    # What is compared.

    def _note_asker(self, child: ChildRecord) -> None:
        asker, answered = child.on_start, self.answered(child)
        if asker is None:
            return

        def answer(failure: BaseException | None) -> None:
            answered(failure)
            asker(failure)

        child.on_start = answer
        self.line(child).asked = True

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
        assert [_told(report) for report in self.reports] == model.reports
        assert self.next_due() == model.next_due()
        assert self.starts == model.starts
        assert (self.phase is Phase.OPEN, self.phase is Phase.CLOSING) == (
            model.phase == "open",
            model.phase == "closing",
        )
        assert self.opened is model.opened or self.phase is not Phase.OPEN
        assert {self.line(child) for child in self.awaited} == set(model.awaited())
        statistics = self.statistics(self.escalated)
        assert statistics.started_total == len(model.bodies)
        assert statistics.running == sum(entry[1].value == "running" for entry in table)


def _told(report: Report) -> Told:
    return (report.at, report.child, report.event, seen(report.error), report.delay, report.restarts)


def reason_of(down: Down) -> tuple[object, object]:
    return (down.reason, seen(down.error))
