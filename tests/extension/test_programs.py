"""A thousand random programs through the server in memory, judged by a model of what each client must have been told."""

from __future__ import annotations

import logging
from dataclasses import replace
from random import Random

import pytest
import trio
from trio.testing import MockClock

from mcptrio import App, Limits, ServerSettings
from tests.extension.programs import Batch, bounded
from tests.extension.rig import living

pytestmark = pytest.mark.unmeasured

PROGRAMS = 50
"""In one run of an app."""
SETTINGS = ServerSettings(limits=replace(Limits(), high_water=1500), introspection=False)
BOUNDS = [(10_000, 10_000), (60, 10_000), (10_000, 40), (40, 30)]
"""How much is kept, and how much may wait."""


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_clients_do_each_is_told_what_its_policy_promises_or_a_gap(
    seed: int, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL + 1, logger="mcptrio")
    monkeypatch.setattr(trio._core._run, "_r", Random(seed))
    kept, waiting = BOUNDS[seed % len(BOUNDS)]
    app = App("programs", settings=SETTINGS)
    app.catalog.add_pattern("note:{+rest}")
    with bounded(app, kept, waiting):
        async with living(app) as home:
            batch = Batch(home, Random(seed), kept)
            for number in range(PROGRAMS):
                try:
                    await batch.run()
                except Exception as error:
                    error.add_note(f"in program {number} of seed {seed}")
                    raise
            assert batch.deliveries > 20 * PROGRAMS, "the programs did something"
            assert batch.kills > PROGRAMS / 10
            selections = app.hub.selections
            assert min(selections.recovered, selections.unrecovered, selections.tally.merged) > 0
            assert bool(selections.tally.gaps["history"]) is (kept < 100)
