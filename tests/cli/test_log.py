"""Log lines: one form for all, on one stream, at the level asked for, without secrets and without fail."""

from __future__ import annotations

import io
import json
import logging
from datetime import UTC, datetime

import pytest
import structlog

from mcptrio.cli.log import set_up_logging

SECRET = "hunter2-hunter2"


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def logged(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def test_a_line_of_json_has_time_level_logger_event_and_fields(stream: io.StringIO) -> None:
    set_up_logging("info", "json", stream)
    structlog.get_logger("mcptrio.test").info("something happened", count=3)
    [line] = logged(stream)
    at = datetime.fromisoformat(str(line.pop("timestamp")))
    assert at.tzinfo == UTC
    assert line == {"level": "info", "logger": "mcptrio.test", "event": "something happened", "count": 3}


def test_lines_of_libraries_have_the_same_form(stream: io.StringIO) -> None:
    set_up_logging("info", "json", stream)
    logging.getLogger("somebody").warning("about %s", "this", extra={"peer": 7})
    [line] = logged(stream)
    line.pop("timestamp")
    assert line == {"level": "warning", "logger": "somebody", "event": "about this", "peer": 7}


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_lines_below_the_level_are_left_out(stream: io.StringIO, level: str, shown: list[str]) -> None:
    set_up_logging(level, "json", stream)
    for name in ("debug", "info", "warning", "error"):
        structlog.get_logger("mcptrio.test").log(logging.getLevelNamesMapping()[name.upper()], "ours")
        logging.getLogger("theirs").log(logging.getLevelNamesMapping()[name.upper()], "theirs")
    assert [line["level"] for line in logged(stream)] == [name for name in shown for _ in range(2)]


def test_what_was_bound_in_the_context_is_in_the_line(stream: io.StringIO) -> None:
    set_up_logging("info", "json", stream)
    structlog.contextvars.bind_contextvars(peer="127.0.0.1:5", request=3)
    structlog.get_logger("a").info("ours")
    logging.getLogger("b").info("theirs")
    assert [(line["peer"], line["request"]) for line in logged(stream)] == [("127.0.0.1:5", 3)] * 2


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_are_masked_in_fields_in_texts_and_in_tracebacks(stream: io.StringIO, form: str) -> None:
    set_up_logging("info", "json" if form == "json" else "console", stream)
    log = structlog.get_logger("mcptrio.test")
    log.info("request", headers={"Authorization": f"Bearer {SECRET}", "Accept": "text/plain"}, token=SECRET)
    log.info(f"dialling wss://me:{SECRET}@example.org")
    logging.getLogger("theirs").error("password=%s", SECRET)
    try:
        raise ValueError(f"api_key={SECRET}")
    except ValueError:
        log.exception("it failed")
    assert SECRET not in stream.getvalue()
    assert "text/plain" in stream.getvalue()
    assert "ValueError: api_key=***" in stream.getvalue()


def test_the_console_cannot_be_steered_and_no_line_forged(stream: io.StringIO) -> None:
    set_up_logging("info", "console", stream)
    structlog.get_logger("a").info("event", name="\x1b[2J\nforged")
    assert "\x1b" not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 1


def test_any_value_can_be_logged(stream: io.StringIO) -> None:
    set_up_logging("info", "json", stream)
    structlog.get_logger("a").info("event", value={1: object, "b": b"\xff"}, lone="\ud800", big=1 << 80)
    [line] = logged(stream)
    assert line["value"] == {"1": "<class 'object'>", "b": "\\xff"}


def test_a_stream_that_cannot_be_written_stops_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("info", "json", Broken())
    structlog.get_logger("a").info("lost")
    assert capsys.readouterr() == ("", "")


def test_a_second_setting_up_replaces_the_first(stream: io.StringIO) -> None:
    log = structlog.get_logger("a")
    set_up_logging("info", "json", io.StringIO())
    log.info("first")
    set_up_logging("error", "json", stream)
    log.info("second")
    log.error("third")
    assert [line["event"] for line in logged(stream)] == ["third"]


@pytest.mark.parametrize(("level", "shown"), [("info", 0), ("debug", 2)])
def test_the_chatter_of_libraries_is_shown_only_at_debug(stream: io.StringIO, level: str, shown: int) -> None:
    set_up_logging(level, "json", stream)
    logging.getLogger("httpx").info("HTTP Request: GET https://example.org")
    logging.getLogger("watchfiles.main").info("1 change detected")
    assert len(logged(stream)) == shown


def test_logs_go_to_standard_error_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging()
    structlog.get_logger("a").info("hello")
    captured = capsys.readouterr()
    assert "hello" in captured.err
    assert captured.out == ""
