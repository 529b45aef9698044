"""How the rooms log: structured events into the standard library's loggers.

An embedding program sees them as it sees every library's: warnings on stderr, unless it says otherwise, each field behind
the event. Handlers that know of structure find the fields as the record's extra. The command line gives all of it form,
level and masking.
"""

from __future__ import annotations

import logging

import structlog
from structlog.stdlib import BoundLogger
from structlog.typing import EventDict

_NOT_SHOWN = ("exc_info", "stack_info")


class Spelled(str):
    """A record's message: the event with its fields, for whoever shows only messages; `event` is the event alone."""

    event: str


def get_logger(name: str) -> BoundLogger:
    """A logger whose events carry the context that `structlog.contextvars` has bound, such as peer and request."""
    logger: BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            _spell,
            structlog.stdlib.render_to_log_kwargs,
        ],
        wrapper_class=BoundLogger,
    )
    return logger


def _spell(logger: object, method: str, fields: EventDict) -> EventDict:
    event = str(fields["event"])
    # By repr, so that no text of a peer begins a line of its own.
    shown = "".join(f" {key}={value!r}" for key, value in fields.items() if key not in ("event", *_NOT_SHOWN))
    message = Spelled(event + shown)
    message.event = event
    fields["event"] = message
    return fields
