"""What every test of supervision is watched by."""

from collections.abc import Iterator

import pytest

from tests.supervision.invariants import Invariants


@pytest.fixture(autouse=True)
def invariants(monkeypatch: pytest.MonkeyPatch) -> Iterator[Invariants]:
    """Whatever a test does with supervisors and monitors, these hold."""
    watch = Invariants()
    watch.watch(monkeypatch)
    yield watch
    watch.settle()
