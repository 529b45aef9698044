"""The read cache's tables against a naive model, and the memory they are allowed."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from mcptrio.protocol.types import Annotations, ResourceContents
from mcptrio.server.kept_reads import PUBLIC, Kept, KeptReads, Run

URIS = st.sampled_from(["a:1", "a:2"])
SCOPES = st.sampled_from([PUBLIC, None, "ann"])
ENOUGH = 10**9


def contents(uri: str, text: str = "") -> list[ResourceContents]:
    return [ResourceContents(uri=uri, text=text)]


def weight(text: str) -> int:
    return Kept(Run("a:1", None, None), contents("a:1", text), 0).weight


class Reading:
    """A run as the model has it: with the version that its handler saw."""

    def __init__(self, run: Run, version: int) -> None:
        self.run = run
        self.version = version


class TableMachine(RuleBasedStateMachine):
    """Reads begin, join, end and fail, resources change and are replaced, and time goes by."""

    readings = Bundle("readings")

    @initialize(limit=st.sampled_from([ENOUGH, 2 * weight("1")]))
    def begin_all(self, limit: int) -> None:
        self.table = KeptReads(limit)
        self.limit = limit
        self.now = 0.0
        self.versions = {"a:1": 0, "a:2": 0}
        self.offered: object = object()
        self.running: dict[tuple[str, object], Reading] = {}
        self.good: dict[tuple[str, object], tuple[int, float]] = {}
        """What may be given: by URI and scope, the version and until when."""

    @rule(target=readings, uri=URIS, scope=SCOPES)
    def read(self, uri: str, scope: object) -> Reading | None:
        key = (uri, scope)
        found = self.table.find(uri, scope, self.offered, self.now)
        kept = self.good.get(key)
        if kept is not None and kept[1] <= self.now:
            del self.good[key]
            kept = None
        if isinstance(found, Kept):
            assert kept is not None, "what had to be forgotten is given"
            assert found.contents[0].text == str(kept[0]), "another's, or another time's"
            assert kept[0] == self.versions[uri], (
                "what is given is older than the last change before the read"
            )
            return None
        if isinstance(found, Run):
            reading = self.running[key]
            assert reading.run is found
            assert reading.version == self.versions[uri], (
                "a run that began before the change is joined after it"
            )
            return None
        assert key not in self.running, "two runs for the same at the same time"
        if self.limit == ENOUGH:
            assert kept is None, "what is good was forgotten"
        self.good.pop(key, None)
        self.running[key] = reading = Reading(self.table.begin(uri, scope, self.offered), self.versions[uri])
        return reading

    @rule(reading=consumes(readings), seconds=st.integers(1, 3), fails=st.booleans())
    def end(self, reading: Reading | None, seconds: int, fails: bool) -> None:
        if reading is None:
            return
        run, key = reading.run, (reading.run.uri, reading.run.scope)
        current = self.running.get(key) is reading
        if fails:
            self.table.end(run)
        else:
            until = self.now + seconds
            assert self.table.keep(run, contents(run.uri, str(reading.version)), until) is current
            if current:
                self.good[key] = (reading.version, until)
        if current:
            del self.running[key]
        self.table.end(run)

    @rule(uri=URIS)
    def change(self, uri: str) -> None:
        self.versions[uri] += 1
        self.table.drop(uri)
        self.forget(lambda key: key[0] == uri)

    @rule()
    def replace(self) -> None:
        self.offered = object()
        for uri in self.versions:
            self.versions[uri] += 1  # the new one gives something else
        for key in {*self.good, *self.running}:
            assert self.table.find(*key, self.offered, self.now) is None
        self.forget(lambda key: True)

    @rule()
    def clear(self) -> None:
        self.table.clear()
        self.forget(lambda key: True)

    @rule(seconds=st.integers(1, 3))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    def forget(self, which: Callable[[tuple[str, object]], bool]) -> None:
        self.good = {key: value for key, value in self.good.items() if not which(key)}
        self.running = {key: value for key, value in self.running.items() if not which(key)}

    @invariant()
    def the_tables_agree(self) -> None:
        if not hasattr(self, "table"):
            return
        slots = [slot for slots in self.table._slots.values() for slot in slots.values()]
        kept = [slot for slot in slots if isinstance(slot, Kept)]
        assert set(kept) == set(self.table._kept)
        assert len(kept) == len(self.table)
        assert sum(slot.weight for slot in kept) == self.table.bytes <= self.limit
        assert {} not in self.table._slots.values()
        assert self.table.running == len(self.running)


TestTable = TableMachine.TestCase
TestTable.settings = settings(max_examples=60, stateful_step_count=40)


def keep(table: KeptReads, uri: str, text: str = "") -> None:
    assert table.keep(table.begin(uri, None, 1), contents(uri, text), 9.0)


def kept(table: KeptReads, *uris: str) -> list[str]:
    return [uri for uri in uris if table.find(uri, None, 1, 0.0) is not None]


def test_what_was_used_least_recently_goes_first() -> None:
    table = KeptReads(3 * weight("x") + 10)
    for uri in ("a:1", "a:2", "a:3"):
        keep(table, uri, "x")
    assert kept(table, "a:1") == ["a:1"]
    keep(table, "a:4", "x")
    assert kept(table, "a:1", "a:2", "a:3", "a:4") == ["a:1", "a:3", "a:4"]
    assert table.dropped == 0


def test_what_alone_is_too_large_is_not_kept_and_costs_the_others_nothing() -> None:
    table = KeptReads(10_000)
    keep(table, "a:1", "x")
    keep(table, "a:2", "x" * 10_000)
    assert kept(table, "a:1", "a:2") == ["a:1"]


@pytest.mark.parametrize("text", ["x" * 100_000, "é" * 100_000, "字" * 100_000, "🐟" * 100_000])
def test_the_weight_is_at_least_the_memory_of_the_text(text: str) -> None:
    assert sys.getsizeof(text) < weight(text) < sys.getsizeof(text) + 4_000


def test_the_weight_counts_what_is_beside_the_text() -> None:
    plain = ResourceContents(uri="a:1", blob="AAAA")
    dressed = ResourceContents(
        uri="a:1", blob="AAAA", annotations=Annotations(priority=1), meta={"note": "x" * 1000}
    )
    table = KeptReads(ENOUGH)
    weights: list[int] = []
    for each in (plain, dressed, plain):
        before = table.bytes
        run = table.begin(f"a:{len(weights)}", None, 1)
        table.keep(run, [each], 9.0)
        weights.append(table.bytes - before)
    assert weights[0] == weights[2]
    assert weights[1] > weights[0] + 1000
