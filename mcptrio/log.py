"""How the rooms log: structured events into the standard library's loggers.

An embedding program sees them as it sees every library's (warnings on stderr, unless it says otherwise); the command
line gives them form, level and masking.
"""

from __future__ import annotations

import logging

import structlog
from structlog.stdlib import BoundLogger


def get_logger(name: str) -> BoundLogger:
    """A logger whose events carry the context that `structlog.contextvars` has bound, such as peer and request."""
    logger: BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.render_to_log_kwargs,
        ],
        wrapper_class=BoundLogger,
    )
    return logger
