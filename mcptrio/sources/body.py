"""One run of a source's body, and what its end says about the source."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from mcptrio.live import Feed
from mcptrio.sources.spec import SourceBody

RETURNED = "its function has returned"


async def run_body(body: SourceBody, feed: Feed, values: Mapping[str, object]) -> None:
    """Run a source's body: the feed is `starting`, then what the body says, at its end `idle` or `failed`.

    Whatever the body raises is passed on to its supervisor, but for SystemExit: that comes of a library that the
    source uses and is not everybody's end. A cancellation says nothing about the source: who cancels knows why.

    Raises:
        RuntimeError: the body raised SystemExit, alone or in a group.
    """
    structlog.contextvars.bind_contextvars(source=feed.name)
    feed.starting()
    try:
        await body(feed, **values)
        feed.idle(RETURNED)
    except Exception as error:
        feed.failed(said(error))
        raise
    except SystemExit as error:
        feed.failed(f"SystemExit: {error}")
        raise RuntimeError(f"the source {feed.name} raised SystemExit: {error}") from error
    except BaseExceptionGroup as group:  # of a nursery of the source's
        exits, rest = group.split(SystemExit)
        if exits is None:
            raise
        feed.failed("SystemExit")
        if rest is not None and not isinstance(rest, Exception):
            raise rest from exits  # a cancellation passes through
        raise RuntimeError(f"the source {feed.name} raised SystemExit") from group


def said(error: BaseException) -> str:
    """An error in words: its type and its text."""
    return f"{type(error).__name__}: {error}"
