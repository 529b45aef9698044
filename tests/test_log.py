"""What the rooms log, as an embedding program sees it."""

import io
import json
import logging

import pytest
import structlog

from mcptrio.cli.log import set_up_logging
from mcptrio.log import get_logger


def test_a_program_without_logging_of_its_own_sees_the_fields(caplog: pytest.LogCaptureFixture) -> None:
    with structlog.contextvars.bound_contextvars(peer="1.2.3.4:5 #6"):
        get_logger("mcptrio.test").warning("it is slow", milliseconds=120, task="a\nforged line")
    (record,) = caplog.records
    assert (
        record.getMessage() == "it is slow peer='1.2.3.4:5 #6' milliseconds=120 task='a\\nforged line'"
        or (record.getMessage() == "it is slow milliseconds=120 task='a\\nforged line' peer='1.2.3.4:5 #6'")
    )
    assert record.__dict__["milliseconds"] == 120


def test_what_is_below_the_level_costs_no_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "mcptrio.test")
    get_logger("mcptrio.test").info("nothing")
    assert caplog.records == []


def test_an_exception_is_the_records_own_and_no_field(caplog: pytest.LogCaptureFixture) -> None:
    get_logger("mcptrio.test").error("it failed", exc_info=ValueError("why"), part="pump")
    (record,) = caplog.records
    assert record.getMessage() == "it failed part='pump'"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)


def test_the_command_line_shows_each_field_once() -> None:
    root, level = logging.getLogger(), logging.getLogger().level
    handlers = root.handlers[:]
    stream = io.StringIO()
    try:
        set_up_logging("info", "json", stream)
        get_logger("mcptrio.test").warning("it is slow", milliseconds=120)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
    line = json.loads(stream.getvalue())
    assert (line["event"], line["milliseconds"], line["logger"]) == ("it is slow", 120, "mcptrio.test")
