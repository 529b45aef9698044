"""What the catalog logs, as the fields of each entry."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


class _Keeper(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.entries: list[dict[str, object]] = []

    def emit(self, record: logging.LogRecord) -> None:
        entry = dict(vars(record))
        entry["event"] = getattr(record.msg, "event", record.getMessage())
        entry["error"] = record.exc_info[1] if record.exc_info else None
        self.entries.append(entry)


@contextmanager
def captured_logs() -> Iterator[list[dict[str, object]]]:
    """The entries logged within the block."""
    keeper = _Keeper()
    logger = logging.getLogger("mcptrio.catalog")
    logger.addHandler(keeper)
    try:
        yield keeper.entries
    finally:
        logger.removeHandler(keeper)
