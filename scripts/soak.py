"""Runs random programs of subscribing by the extension, for as long as one likes: does a client ever not know what it does not know?

    python scripts/soak.py --programs 100000 --seed 0

Runs those of tests/live/programs.py that begin at the seed, on all cores. Prints a line for each tenth of them, each program
that fails with its steps, and a line for all. The exit status is 1 if any failed.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
EACH = 250
"""How many programs a process is given at a time."""
MOST_SHOWN = 5
"""Of programs that failed."""


def run(seeds: range) -> tuple[Counter[str], list[str]]:
    """Run the programs of some seeds; returns what has happened how often, and what went wrong."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    programs = importlib.import_module("tests.live.programs")
    seen: Counter[str] = Counter()
    failed: list[str] = []
    for seed in seeds:
        try:
            seen += programs.run(seed)
        except AssertionError as error:
            failed.append(str(error))
    return seen, failed


def shares(first: int, count: int) -> Iterator[range]:
    """All seeds, as they are given to processes."""
    for begin in range(first, first + count, EACH):
        yield range(begin, min(begin + EACH, first + count))


def shown(seen: Counter[str]) -> str:
    """Figures on one line."""
    return " ".join(f"{name.replace(' ', '_')}={count}" for name, count in sorted(seen.items()))


def main(arguments: Sequence[str]) -> int:
    """Run them all; returns the exit status."""
    parser = argparse.ArgumentParser(description="Runs random programs of subscribing by the extension.")
    parser.add_argument("--programs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0, help="the first program; the others follow")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    given = parser.parse_args(arguments)
    began = time.monotonic()
    seen: Counter[str] = Counter()
    done = failures = 0
    with ProcessPoolExecutor(given.processes) as pool:
        given_out = list(shares(given.seed, given.programs))
        for seeds, (some, failed) in zip(given_out, pool.map(run, given_out), strict=True):
            seen += some
            for text in failed[: max(0, MOST_SHOWN - failures)]:
                print(text, flush=True)
            failures += len(failed)
            tenth = 10 * done // given.programs
            done += len(seeds)
            if 10 * done // given.programs > tenth:
                print(f"programs={done} seconds={time.monotonic() - began:.0f} failed={failures}", flush=True)
    print(f"programs={done} seed={given.seed} failed={failures} {shown(seen)}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
