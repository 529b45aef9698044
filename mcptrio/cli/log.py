"""Log lines on standard error: the project's own and, in the same form, those of libraries.

Each line has its time (UTC), level, logger, event and what was bound in its context: the server binds peer
and request. Secrets are masked in every line. A line that cannot be written is lost; logging never raises.
"""

from __future__ import annotations

import logging
import sys
import textwrap
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, TextIO

import structlog
from structlog.typing import Processor

from mcptrio.log import Spelled
from mcptrio.masking import mask, printable

if TYPE_CHECKING:
    from mcptrio.config import LogFormat

LEVELS: Mapping[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_CHATTY = ("httpcore", "httpx", "trio-websocket", "watchfiles", "websockets")
"""Libraries whose every request or change would be a line; below level debug only their warnings are shown."""

Event = MutableMapping[str, object]


def set_up_logging(level: str = "info", format: LogFormat = "console", stream: TextIO | None = None) -> None:
    """Send log lines of at least this level to `stream`, standard error if None.

    For a program's start; a second call replaces the first. Levels are those in `LEVELS`.
    """
    threshold = LEVELS[level]
    output = sys.stderr if stream is None else stream
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = _Handler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(), take_event],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                mask_secrets,
                *_rendering(format, output),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    for name in _CHATTY:
        chatty = logging.getLogger(name)
        chatty.setLevel(logging.NOTSET if level == "debug" else max(threshold, logging.WARNING))


def take_event(logger: object, method: str, event: Event) -> Event:
    """A structlog processor: of our own records the event alone, because the fields are shown beside it."""
    record = event.get("_record")
    if isinstance(record, logging.LogRecord) and isinstance(record.msg, Spelled):
        event["event"] = record.msg.event
    return event


def mask_secrets(logger: object, method: str, event: Event) -> Event:
    """A structlog processor: the event without secrets, in keys, in nested values and inside texts."""
    masked = mask(dict(event))
    assert isinstance(masked, dict)
    return masked


def spell_out_controls(logger: object, method: str, event: Event) -> Event:
    """A structlog processor: no text can steer a terminal."""
    if isinstance(exception := event.get("exception"), str):
        # No line of it begins where log lines do: an exception's text may be a peer's.
        event["exception"] = textwrap.indent(exception, "    ", lambda line: True)
    return {
        printable(name): printable(value) if isinstance(value, str) else value
        for name, value in event.items()
    }


def _rendering(format: LogFormat, output: TextIO) -> list[Processor]:
    if format == "json":
        return [structlog.processors.JSONRenderer()]
    console = structlog.dev.ConsoleRenderer(
        colors=output.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    return [spell_out_controls, console]


class _Handler(logging.StreamHandler[TextIO]):
    """Drops what it cannot write: a full disk or a reader that left must not stop the server."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing: there is nowhere to say it."""
