"""A listener's tasks: one reads the stream, one polls, one reports."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from random import Random

import trio

from mcptrio.live import Feed
from mcptrio.masking import mask_text, printable
from mcptrio.sources.duration import seconds
from mcptrio.sources.listener.errors import CursorLost, Unavailable
from mcptrio.sources.listener.event import Answer, Event
from mcptrio.sources.listener.machine import Machine
from mcptrio.sources.listener.memory import Checkpoint
from mcptrio.sources.listener.settings import ListenerSettings
from mcptrio.sources.listener.statistics import Statistics
from mcptrio.supervision.backoff import Backoff

OpenStream = Callable[[], AbstractAsyncContextManager[AsyncIterator[Event]]]
"""Opens the stream; its end is a clean close, whatever it raises is why it broke."""

Poll = Callable[[object | None], Awaitable[Answer]]
"""Answers what happened behind a cursor; for None, where things stand."""

PATIENCE = 3600.0
"""Longest time, in seconds, that a `retry_after` is obeyed for."""

_SHOWN = 300


async def run(
    feed: Feed,
    open_stream: OpenStream,
    poll: Poll,
    settings: ListenerSettings | None = None,
    *,
    statistics: Statistics | None = None,
    random: Random | None = None,
) -> None:
    """Listen until cancelled: the body of a source's task, or most of it. What it guarantees is in the room's text.

    The feed's checkpoint is its alone. What `open_stream`, the stream and `poll` raise becomes the feed's state in
    words (`Unavailable` says more) and they are tried again with backoff; a stream that ends is opened again no
    sooner than one that broke. The stream is left and a poll cancelled when they take longer than the settings allow.

    Raises:
        TypeError: the feed has a checkpoint that is no listener's.
    """
    checkpoint = feed.checkpoint
    if checkpoint is None:
        checkpoint = Checkpoint()
    elif not isinstance(checkpoint, Checkpoint):
        raise TypeError(f"the feed's checkpoint is a {type(checkpoint).__name__}, not a listener's")
    settings = settings or ListenerSettings()
    statistics = statistics or Statistics()
    feed.count_by(statistics.counts)
    random = random or Random()
    listening = _Listening(
        feed, Machine(settings, statistics, checkpoint, random), settings, statistics, random
    )
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listening.read, open_stream)
            nursery.start_soon(listening.ask, poll)
            nursery.start_soon(listening.report)
    finally:
        statistics.enter(None, trio.current_time())


class _Listening:
    """One run: the machine, and how its tasks wait for one another."""

    def __init__(
        self,
        feed: Feed,
        machine: Machine,
        settings: ListenerSettings,
        statistics: Statistics,
        random: Random,
    ) -> None:
        self._feed = feed
        self._machine = machine
        self._statistics = statistics
        self._random = random
        self._timeout = seconds(settings.timeout)
        self._silence = math.inf if settings.silence is None else seconds(settings.silence)
        self._backoff = Backoff(initial=seconds(settings.retry), maximum=seconds(settings.retry_most))
        self._changed = trio.Event()

    def _poke(self) -> None:
        """The machine was told something: whoever waits looks again."""
        self._changed.set()
        self._changed = trio.Event()

    async def _wait(self, until: float) -> None:
        with trio.CancelScope(deadline=until):
            await self._changed.wait()

    # The stream.

    async def read(self, open_stream: OpenStream) -> None:
        """Keep the stream open, and hand its events to the machine."""
        failures = 0
        while True:
            opened_at, why, lasting, pause = await self._read_once(open_stream)
            self._machine.closed(why, lasting=lasting)
            self._poke()
            failures = self._backoff.failures(failures, trio.current_time() - opened_at)
            delay = self._backoff.delay(failures, self._random)
            await trio.sleep(max(delay, self._backoff.initial / 2, pause))

    async def _read_once(self, open_stream: OpenStream) -> tuple[float, str, bool, float]:
        """Read the stream to its end. Returns when it was opened, why it ended, and how to go on."""
        opened_at = math.inf
        lasting, pause = False, 0.0
        with trio.CancelScope(deadline=trio.current_time() + self._timeout) as scope:
            try:
                async with open_stream() as events:
                    opened_at = trio.current_time()
                    self._machine.opened()
                    self._poke()
                    try:
                        await self._read_events(events, scope)
                    finally:
                        scope.deadline = min(scope.deadline, trio.current_time() + self._timeout)
                why = "the stream has ended"
            except Exception as error:
                why, lasting, pause = _explained(error)
        if scope.cancelled_caught:
            if opened_at == math.inf:
                why = f"the stream could not be opened within {self._timeout:g} s"
            else:
                why = "the stream was silent for too long, or did not close"
        return opened_at, why, lasting, pause

    async def _read_events(self, events: AsyncIterator[Event], scope: trio.CancelScope) -> None:
        scope.deadline = trio.current_time() + self._silence
        async for event in events:
            if not isinstance(event, Event):
                raise TypeError(f"the stream brought a {type(event).__name__}, not an Event")
            self._machine.event(event, trio.current_time())
            self._poke()
            scope.deadline = math.inf
            await trio.lowlevel.checkpoint()  # the iterator may have none
            while not self._machine.room:
                await self._wait(math.inf)
            scope.deadline = trio.current_time() + self._silence

    # Polls.

    async def ask(self, poll: Poll) -> None:
        """Poll whenever it is due."""
        while True:
            if (due := self._machine.due) > trio.current_time():
                await self._wait(due)
                continue
            await self._ask_once(poll)
            self._poke()
            await trio.lowlevel.checkpoint()  # the poll may have none

    async def _ask_once(self, poll: Poll) -> None:
        cursor = self._machine.ask()
        try:
            with trio.fail_after(self._timeout):
                answer = _checked(await poll(cursor))
        except CursorLost as error:
            self._machine.cursor_lost(trio.current_time(), _shown(str(error)))
        except trio.TooSlowError:
            self._machine.refused(trio.current_time(), f"a poll took longer than {self._timeout:g} s")
        except Exception as error:
            why, lasting, pause = _explained(error)
            self._machine.refused(trio.current_time(), why, lasting=lasting, retry_after=pause)
        else:
            self._machine.answered(answer, trio.current_time())

    # Reports.

    async def report(self) -> None:
        """Announce what the machine gives, and keep the feed's state and checkpoint up to date."""
        machine, feed = self._machine, self._feed
        while True:
            machine.tick(trio.current_time())
            self._tell()
            given = machine.give()
            if given is not None:
                event, checkpoint = given
                await feed.report(event.change(feed.name), checkpoint=checkpoint)
                self._statistics.announced += 1
                continue
            feed.checkpoint = machine.checkpoint
            self._tell()
            self._poke()
            await self._wait(machine.wake)

    def _tell(self) -> None:
        word = self._machine.word()
        if word is not None:
            self._feed.tell(word.state, word.reason, current=word.current)
        self._statistics.enter(self._feed.state, trio.current_time())


def _checked(answer: object) -> Answer:
    if not isinstance(answer, Answer):
        raise TypeError(f"the poll returned a {type(answer).__name__}, not an Answer")
    for event in answer.events:
        if not isinstance(event, Event):
            raise TypeError(f"the poll's answer has a {type(event).__name__} in it, not only Events")
    return answer


def _explained(error: Exception) -> tuple[str, bool, float]:
    """An error in words, whether somebody has to mend it, and how long to leave the service alone."""
    leaf: BaseException = error
    while isinstance(leaf, BaseExceptionGroup) and len(leaf.exceptions) == 1:
        leaf = leaf.exceptions[0]
    if isinstance(leaf, Unavailable):
        return _shown(str(leaf)), leaf.lasting, min(max(leaf.retry_after, 0.0), PATIENCE)
    said = f"{type(leaf).__name__}: {leaf}" if str(leaf) else type(leaf).__name__
    return _shown(said), False, 0.0


def _shown(text: str) -> str:
    return printable(mask_text(text))[:_SHOWN]
