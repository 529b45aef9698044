"""The HTTP JSON poller: a document that is asked for again and again, and what changed in it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from functools import partial
from random import Random

import trio
from msgspec import UNSET

from mcptrio.catalog import ResourceNotFound
from mcptrio.live import Change, Feed
from mcptrio.protocol.types import Annotations, Resource
from mcptrio.sources.duration import seconds
from mcptrio.sources.outstanding import Outstanding
from mcptrio.sources.poller.conditional import Validators
from mcptrio.sources.poller.fetch import Document, Fetcher, FetchFailed, HttpClient
from mcptrio.sources.poller.items import BadDocument, Item, Snapshot, differences
from mcptrio.sources.poller.settings import PollerSettings
from mcptrio.sources.registry import Registry
from mcptrio.sources.shown_url import shown_url
from mcptrio.supervision.backoff import Backoff
from mcptrio.wire.http import default_tls, open_http_client

PATIENCE = 3600.0
"""Longest time, in seconds, that a `Retry-After` is obeyed for."""

BIG = 256 * 1024
"""Bytes of a document from which on it is read in a thread: it would keep everybody else waiting."""


class Poller:
    """One installed poller: the last seen document, the changes not yet reported, and the task's body.

    All of that is here and not in the task, so a restart of the task announces nothing twice and loses
    nothing. The first document is the baseline and announces nothing, unless a poll failed before it or somebody
    looked for it in vain. After it, what can be read changes in one step with the queue of changes: whoever is told
    of a change reads at least that change. A document that cannot be used changes nothing; the last good one stays
    readable, as it does while the task does not run; what changed meanwhile is announced when it runs again.
    """

    def __init__(
        self,
        settings: PollerSettings,
        *,
        open_client: Callable[[], AbstractAsyncContextManager[HttpClient]] | None = None,
        random: Random | None = None,
    ) -> None:
        """Raises `SecretMissing` if a header's value is not where the settings say."""
        self._settings = settings
        self._headers = settings.revealed_headers()
        self._shape = settings.shape()
        self._every = seconds(settings.every)
        self._timeout = seconds(settings.timeout)
        self._open_client = open_client or partial(_open_client, self._timeout)
        self._random = random or Random()
        self._backoff = Backoff(
            initial=min(self._every, 1.0), maximum=max(self._every, min(10 * self._every, 300.0))
        )
        self._failures = 0
        self._thread = trio.CapacityLimiter(1)
        self._validators = Validators()
        self._digest = b""
        self._snapshot: Snapshot | None = None
        self._changed_at: dict[str, datetime] = {}
        self._outstanding = Outstanding()
        self._missed = False
        """Whether somebody may have been told that there is nothing, before there was a first document."""

    async def run(self, feed: Feed) -> None:
        """Poll until cancelled: at once, then at intervals, later after failures. The body of a task.

        Whatever the server does becomes the feed's state in words: `degraded` for what should pass or
        concerns single items, `failed` for what somebody has to repair; both are tried again, and a good poll
        is `polling` again.
        """
        await self._outstanding.report_to(feed)
        async with self._open_client() as client:
            fetcher = Fetcher(client, self._settings.url, self._headers, self._settings.max_body)
            while True:
                pause = await self._poll(fetcher, feed)
                await self._outstanding.report_to(feed)
                await trio.sleep(pause)

    async def _poll(self, fetcher: Fetcher, feed: Feed) -> float:
        """Ask once and take in the answer; returns the pause before the next time."""
        try:
            document = await self._fetch(fetcher)
            if document is not None:
                await self._take(document, feed.name)
        except FetchFailed as failure:
            self._failures += 1
            self._missed = True
            report = feed.failed if failure.lasting else feed.degraded
            report(str(failure))
            pause = self._backoff.delay(self._failures, self._random)
            return max(pause, min(failure.retry_after or 0.0, PATIENCE))
        self._failures = 0
        if self._snapshot is not None and self._snapshot.problem:
            feed.degraded(self._snapshot.problem, current=True)
        else:
            feed.polling()
        jitter = self._settings.jitter
        return self._every * self._random.uniform(1 - jitter, 1 + jitter)

    async def _fetch(self, fetcher: Fetcher) -> Document | None:
        try:
            # Over everything: a server that sends a byte now and then keeps any timeout of single steps alive.
            with trio.fail_after(self._timeout):
                return await fetcher.fetch(self._validators)
        except trio.TooSlowError:
            url = shown_url(self._settings.url)
            raise FetchFailed(
                f"{url} gave no complete answer within {self._timeout:g} s", lasting=False
            ) from None

    async def _take(self, document: Document, source: str) -> None:
        """Make a document the last seen one and queue what changed. All of it or, if it cannot be used, nothing.

        Reading a big one is a thread's work; what it comes to is taken in one synchronous step.
        """
        digest = hashlib.blake2b(document.body, digest_size=16).digest()
        if self._snapshot is None or digest != self._digest:
            read = partial(self._read_document, document.body, source)
            if len(document.body) < BIG:
                snapshot, changes = read()
            else:
                snapshot, changes = await trio.to_thread.run_sync(read, limiter=self._thread)
            self._outstanding.add(changes)
            for change in changes:
                self._changed_at[change.uri] = change.at
            self._snapshot = snapshot
            self._changed_at = {uri: at for uri, at in self._changed_at.items() if uri in snapshot.items}
            self._digest = digest
        # Only now: asked with the validators of a bad document, the server would say that it is still that one.
        self._validators = document.validators

    def _read_document(self, body: bytes, source: str) -> tuple[Snapshot, tuple[Change, ...]]:
        """What a document holds, and what happened since the last one. Changes nothing of the poller."""
        try:
            snapshot = self._shape.snapshot(body)
        except BadDocument as error:
            raise FetchFailed(f"{shown_url(self._settings.url)}: {error}", lasting=True) from error
        if self._snapshot is None:
            before = {} if self._missed else snapshot.items
            return snapshot, differences(before, snapshot.items, source=source)
        return snapshot, differences(self._snapshot.items, snapshot.items, source=source)

    async def read_item(self, id: str) -> str:
        """The JSON of one item as last seen.

        Raises:
            ResourceNotFound: the last seen document has no such item, or none was seen yet.
        """
        return await self._read(self._shape.uri_of(id))

    async def read_document(self) -> str:
        """The JSON of the whole document as last seen, as `read_item`."""
        return await self._read(self._settings.uri)

    async def _read(self, uri: str) -> str:
        item = (await self._items()).get(uri)
        if item is None:
            raise ResourceNotFound(uri)
        return item.content.decode()

    async def list_items(self) -> list[Resource]:
        """All items, in the order of the document as last seen.

        `lastModified` is when the poller saw the item appear or change; none for one that has been as it is
        since the first poll.
        """
        return [self._listed(uri, item) for uri, item in (await self._items()).items()]

    def _listed(self, uri: str, item: Item) -> Resource:
        changed_at = self._changed_at.get(uri)
        return Resource(
            uri=uri,
            name=item.id,
            mime_type=self._settings.mime_type,
            size=len(item.content),
            annotations=UNSET if changed_at is None else Annotations(last_modified=changed_at.isoformat()),
        )

    async def _items(self) -> Mapping[str, Item]:
        await trio.lowlevel.checkpoint()
        if self._snapshot is None:
            self._missed = True
            return {}
        return self._snapshot.items

    def install(self, registry: Registry) -> None:
        """Offer what is seen as resources, and have it run: by demand, unless the settings say always.

        Raises:
            ValueError: the source's name or its URI is taken.
        """
        settings = self._settings
        what = f"from {shown_url(settings.url)}, last seen by the poller {settings.name}"
        if settings.items is None:
            registry.catalog.add_resource(
                settings.uri,
                self.read_document,
                name=settings.name,
                description=f"The document {what}",
                mime_type=settings.mime_type,
            )
        else:
            registry.catalog.add_template(
                settings.uri,
                self.read_item,
                name=settings.name,
                description=f"An item {what}",
                mime_type=settings.mime_type,
                list=self.list_items,
            )
        registry.add_source(
            settings.name,
            self.run,
            pattern=settings.uri,
            linger=seconds(settings.linger),
            always=settings.always,
        )


def install(registry: Registry, settings: PollerSettings) -> None:
    """Offer what a poller sees as resources, and have it run.

    Raises:
        SecretMissing: a header's value is not where the settings say.
        ValueError: the source's name or its URI is taken.
    """
    Poller(settings).install(registry)
    default_tls()  # here it keeps nobody waiting


def _open_client(timeout: float) -> AbstractAsyncContextManager[HttpClient]:
    return open_http_client(timeout=timeout, max_connections=1)
