"""What every attack is held to."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def quiet_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No attack is an error of ours: nothing at error level is logged, and no message has more than one line."""
    caplog.set_level(logging.DEBUG, logger="mcptrio")
    yield
    for record in caplog.get_records("call"):
        assert record.levelno < logging.ERROR, record.getMessage()
        assert record.exc_info is None, record.getMessage()
        assert "\n" not in record.getMessage()
