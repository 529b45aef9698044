"""The WebSocket source: a service that sends events, and what is known from them."""

from __future__ import annotations

import inspect
from functools import partial
from random import Random

import msgspec
import trio

from mcptrio.catalog import Function, ResourceNotFound, UriTemplate
from mcptrio.live import Feed
from mcptrio.protocol.types import Annotations, Resource, ResourceContents
from mcptrio.sources.duration import seconds
from mcptrio.sources.outstanding import Outstanding
from mcptrio.sources.registry import Registry
from mcptrio.sources.shown_url import shown_url
from mcptrio.sources.websocket.inbox import Counts, Held, Inbox
from mcptrio.sources.websocket.link import Connect, Link
from mcptrio.sources.websocket.route import OTHERS
from mcptrio.sources.websocket.router import BadMessage, Event, Router
from mcptrio.sources.websocket.settings import WebsocketSettings
from mcptrio.supervision.backoff import Backoff
from mcptrio.wire.dial import dial

PATIENCE = 3600.0
"""Longest time, in seconds, that a `Retry-After` is obeyed for."""

BIG = 256 * 1024
"""Characters of a message from which on it is read in a thread: it would keep everybody else waiting."""


class Receiver:
    """One installed WebSocket source: what it received, the changes not yet reported, and the task's body.

    All of that is here and not in the task, so a restart of the task announces nothing twice and loses nothing that
    had been received. What can be read changes in one step with the queue of changes: whoever is told of a change
    reads at least that change. What the service sends while there is no connection is lost unless it sends it again;
    if it does, then events with an id that were received before are not announced again.
    """

    def __init__(
        self, settings: WebsocketSettings, *, connect: Connect | None = None, random: Random | None = None
    ) -> None:
        """Raises `SecretMissing` if a secret is not where the settings say."""
        self._settings = settings
        timeout = seconds(settings.timeout)
        endpoint = settings.endpoint()
        self._link = Link(
            endpoint,
            connect or partial(dial, endpoint, timeout=timeout),
            url=settings.url,
            headers=settings.revealed_headers(),
            subprotocols=settings.subprotocols,
            first=settings.revealed_first(),
            timeout=timeout,
            ping=seconds(settings.ping),
            ping_timeout=seconds(settings.ping_timeout),
            max_size=settings.max_size,
        )
        self._router = Router(settings.route, type=settings.type, id=settings.id, data=settings.data)
        self._inbox = Inbox(keep=settings.keep, keep_bytes=settings.keep_bytes, remember=settings.remember)
        self._templates = {uri: UriTemplate(uri) for uri in settings.uris()}
        self._backoff = Backoff(initial=seconds(settings.reconnect), maximum=seconds(settings.reconnect_max))
        self._random = random or Random()
        self._failures = 0
        self._thread = trio.CapacityLimiter(1)
        self._arrived: str | None = None  # received, but not yet in the inbox
        self._outstanding = Outstanding()

    async def run(self, feed: Feed) -> None:
        """Stay connected until cancelled: at once, then again after growing pauses. The body of a task.

        Whatever the server does becomes the feed's state in words: `live` while connected, `degraded` for what should
        pass and while many messages cannot be used, `failed` for what somebody has to repair. Every end of a
        connection, a clean one too, is followed by a pause.
        """
        feed.count_by(lambda: msgspec.structs.asdict(self.counts()))
        await self._settle(feed)
        while True:
            began = trio.current_time()
            lost = await self._link.run(partial(self._tell, feed), partial(self._take, feed))
            self._failures = self._backoff.failures(self._failures, trio.current_time() - began)
            report = feed.failed if lost.lasting else feed.degraded
            report(str(lost))
            pause = self._backoff.delay(self._failures, self._random)
            await trio.sleep(max(pause, min(lost.retry_after or 0.0, PATIENCE)))

    def _tell(self, feed: Feed) -> None:
        """Say how it is doing while there is a connection."""
        if self._inbox.problem:
            feed.degraded(f"{shown_url(self._settings.url)}: {self._inbox.problem}", current=True)
        else:
            feed.live()

    async def _take(self, feed: Feed, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self._inbox.binary()
            await trio.lowlevel.checkpoint()
            return
        self._arrived = message
        await self._settle(feed)
        self._tell(feed)

    async def _settle(self, feed: Feed) -> None:
        """Take in what has arrived, and report. Wherever this is cut, the next call goes on from there."""
        await self._outstanding.report_to(feed)
        if self._arrived is None:
            return
        event: Event | None = None
        try:
            if len(self._arrived) < BIG:
                event = self._router.event(self._arrived)
            else:
                read = partial(self._router.event, self._arrived)
                event = await trio.to_thread.run_sync(read, limiter=self._thread)
        except BadMessage as why:
            self._inbox.unusable(why)
        if event is not None:
            self._outstanding.add(self._inbox.take(event, feed.name))
        self._arrived = None
        await self._outstanding.report_to(feed)

    def counts(self) -> Counts:
        """How many messages came so far, and what became of them."""
        return self._inbox.counts()

    async def read(self, uri: str) -> ResourceContents:
        """A resource as last received, with the time at which it was.

        Raises:
            ResourceNotFound: nothing was received of it yet, or it was deleted or evicted.
        """
        await trio.lowlevel.checkpoint()
        held = self._inbox.get(uri)
        if held is None:
            raise ResourceNotFound(uri)
        return ResourceContents(
            uri=uri,
            mime_type=self._settings.mime_type,
            text=held.content.decode(),
            annotations=_dated(held),
        )

    async def list_of(self, template: str) -> list[Resource]:
        """What is held of the resources of a route's URI template, the latest received first."""
        await trio.lowlevel.checkpoint()
        return [
            Resource(
                uri=uri,
                name=held.name,
                mime_type=self._settings.mime_type,
                size=len(held.content),
                annotations=_dated(held),
            )
            for uri, held in self._inbox.of(template)
        ]

    def install(self, registry: Registry) -> None:
        """Offer what is received as resources, and have it run: by demand, unless the settings say always.

        Raises:
            ValueError: the source's name or one of its URIs is taken.
        """
        settings = self._settings
        told = f"Last received from {shown_url(settings.url)} by the source {settings.name}"
        for uri, template in self._templates.items():
            types = [route.type for route in settings.route if route.uri == uri and route.type != OTHERS]
            name = f"{settings.name}/{types[0]}" if types else settings.name
            description = f"{told}: {', '.join(types)}" if types else told
            if template.variables:
                registry.catalog.add_template(
                    uri,
                    self._reader_of(template),
                    name=name,
                    description=description,
                    mime_type=settings.mime_type,
                    list=partial(self.list_of, uri),
                )
            else:
                registry.catalog.add_resource(
                    uri,
                    partial(self.read, uri),
                    name=name,
                    description=description,
                    mime_type=settings.mime_type,
                )
        registry.add_source(
            settings.name,
            self.run,
            pattern=settings.uris(),
            linger=seconds(settings.linger),
            always=settings.always,
        )

    def _reader_of(self, template: UriTemplate) -> Function:
        """A handler with a parameter for each variable of the template: the catalog reads signatures."""

        async def read(**values: str) -> ResourceContents:
            return await self.read(template.expand(values))

        parameters = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=str)
            for name in template.variables
        ]
        read.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        read.__annotations__ = {**dict.fromkeys(template.variables, str), "return": ResourceContents}
        return read


def _dated(held: Held) -> Annotations:
    return Annotations(last_modified=held.at.isoformat())


def install(registry: Registry, settings: WebsocketSettings) -> None:
    """Offer what a service sends as resources, and have it received.

    Raises:
        SecretMissing: a secret is not where the settings say.
        ValueError: the source's name or one of its URIs is taken.
    """
    Receiver(settings).install(registry)
