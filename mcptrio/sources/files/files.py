"""The files below a directory: what is there, and what happens to it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from random import Random

import trio
from msgspec import UNSET

from mcptrio.catalog import InvalidArgument, ResourceNotFound
from mcptrio.live import Change, Feed
from mcptrio.protocol.types import Resource, ResourceContents
from mcptrio.sources.duration import seconds
from mcptrio.sources.files.contents import TooLarge, contents_of, modified, read_file, type_of
from mcptrio.sources.files.opening import NoSuchFile
from mcptrio.sources.files.scan import File, Limits, RootGone, Scan, Scanner
from mcptrio.sources.files.seen import Doubts, differences, doubts, merged
from mcptrio.sources.files.settings import FilesSettings
from mcptrio.sources.files.told import change_of
from mcptrio.sources.files.watch import Watch, Watched, open_watch, whole_paths
from mcptrio.sources.outstanding import Outstanding
from mcptrio.sources.registry import Registry
from mcptrio.supervision.backoff import Backoff

PATIENCE = 1.0
"""How long, in seconds, a look is repeated because of what is in doubt."""

BIG = 1000
"""Files from which on comparing and listing them is a thread's work: it would keep everybody else waiting."""

READERS = 4
"""How many files of one source are read at once."""


class Files:
    """One installed directory: what was seen of it, the changes not yet reported, and the task's body.

    All of that is here and not in the task, so a restart of the task announces nothing twice and loses nothing: what
    happened meanwhile is found by comparing. What is announced is what a look found, not what was heard: hearing only
    says when to look, and a look every so often finds what was not heard of. The first look is the baseline and
    announces nothing, unless the directory was not there before it or somebody looked for a file in vain.

    Files are read when they are asked for, so whoever is told of a change reads at least that change. Several changes of
    a file between two looks are one; a file that is written by moving another into its place is `updated`.
    """

    def __init__(
        self,
        settings: FilesSettings,
        *,
        look: Callable[[], Awaitable[Scan]] | None = None,
        open_watch: Callable[[Watched], AbstractAsyncContextManager[Watch]] = open_watch,
        random: Random | None = None,
    ) -> None:
        self._settings = settings
        self._root = os.path.abspath(os.path.expanduser(settings.path))
        self._selection = settings.selection()
        self._settle = seconds(settings.settle)
        self._every = seconds(settings.every)
        limits = Limits(settings.max_files, settings.max_size)
        self._scanner = Scanner(self._root, self._selection, limits, settings.uri_of, settings.path)
        self._look_once = look or self._look_in_thread
        self._open_watch = open_watch
        self._random = random or Random()
        self._backoff = Backoff(initial=0.5, maximum=5.0)
        self._failures = 0
        self._lookers = trio.CapacityLimiter(1)
        self._readers = trio.CapacityLimiter(READERS)
        self._known: Mapping[str, File] | None = None
        self._listed: list[Resource] | None = None
        self._outstanding = Outstanding()
        self._missed = False
        """Whether somebody may have been told that there is nothing, before there was a first look."""

    async def run(self, feed: Feed) -> None:
        """Watch until cancelled. The body of a task.

        A directory that has gone, files left out and a watch that is refused are the feed's state in words; what was
        seen stays as it is while the directory has gone, and is compared with what is there when it comes back.
        """
        await self._outstanding.report_to(feed)
        while True:
            try:
                scan = await self._look(feed)
                while True:
                    scan = await self._follow(feed, scan)
            except RootGone as gone:
                self._failures += 1
                self._missed = True
                say = feed.failed if gone.lasting else feed.degraded
                say(str(gone))
                await trio.sleep(self._backoff.delay(self._failures, self._random))

    async def _follow(self, feed: Feed, scan: Scan) -> Scan:
        """Watch the folders of a scan for as long as these are the folders that there are; returns the next scan."""
        folders = scan.folders
        watched = Watched(whole_paths(self._root, folders), self._irrelevant)
        async with self._open_watch(watched) as watch:
            while True:
                try:
                    # Behind the opening, because what happened before it was not heard.
                    scan = await self._look(feed, watch)
                except RootGone as error:
                    gone = error
                    break
                if watch.fault:
                    await trio.sleep(self._every)
                    return scan
                if watch.stale or scan.folders != folders:
                    await trio.sleep(self._settle)
                    return scan
                with trio.move_on_after(self._every):
                    await self._wait(watch)
        # Out here it is not wrapped into the group of the watch's nursery.
        raise gone

    async def _wait(self, watch: Watch) -> None:
        """Wait for news, and then until there is none for a while."""
        await watch.heard()
        until = trio.current_time() + 10 * self._settle
        while not watch.fault and trio.current_time() < until:
            with trio.move_on_after(self._settle) as silence:
                await watch.heard()
            if silence.cancelled_caught:
                return

    async def _look(self, feed: Feed, watch: Watch | None = None) -> Scan:
        """Look, make what is there what is known, and report what changed."""
        scan = await self._settled_scan()
        self._failures = 0
        if self._known is None:
            after = scan.files
            changes = self._changes({}, after, feed.name) if self._missed else []
        else:
            compare = partial(self._compare, self._known, scan, feed.name)
            if len(scan.files) < BIG:
                after, changes = compare()
            else:
                after, changes = await trio.to_thread.run_sync(compare, limiter=self._lookers)
        # One synchronous step: what is known and the queue of what is to be told change together.
        self._outstanding.add(changes)
        self._known = after
        self._listed = None
        if watch is not None and watch.fault:
            feed.degraded(
                f"{self._settings.path} cannot be watched ({watch.fault}): it is looked at every {self._every:g} s",
                current=True,
            )
        elif scan.problem:
            feed.degraded(scan.problem, current=True)
        else:
            feed.live()
        await self._outstanding.report_to(feed)
        return scan

    def _compare(
        self, known: Mapping[str, File], scan: Scan, source: str
    ) -> tuple[Mapping[str, File], list[Change]]:
        """What is known after a look, and what happened since the one before. Changes nothing."""
        after = merged(known, scan)
        return after, self._changes(known, after, source)

    def _changes(self, before: Mapping[str, File], after: Mapping[str, File], source: str) -> list[Change]:
        return [
            change_of(self._settings.uri_of(path), kind, path, after.get(path) or before[path], source)
            for kind, path in differences(before, after)
        ]

    async def _settled_scan(self) -> Scan:
        """Look until two looks agree on what has gone, and what changed is not being written to; or for `PATIENCE`."""
        until = trio.current_time() + PATIENCE
        earlier = Doubts()
        while True:
            scan = await self._look_once()
            now = doubts(self._known or {}, scan)
            if now.settled(earlier) or trio.current_time() >= until:
                return scan
            earlier = now
            await trio.sleep(self._settle)

    async def _look_in_thread(self) -> Scan:
        look = partial(self._scanner.scan, trio.from_thread.check_cancelled)
        # Abandoned when cancelled, because a network file system can take for ever; a look changes nothing.
        return await trio.to_thread.run_sync(look, abandon_on_cancel=True, limiter=self._lookers)

    def _irrelevant(self, whole_path: str) -> bool:
        path = whole_path.removeprefix(self._root).strip("/")
        return bool(path) and self._selection.irrelevant(path)

    async def read(self, path: str) -> ResourceContents:
        """A file, read now.

        Raises:
            ResourceNotFound: there is no such file, or it is left out by the settings.
            InvalidArgument: it is larger than is read, or cannot be read; the text says so.
        """
        if self._known is None:
            self._missed = True
        try:
            uri = self._settings.uri_of(path)
        except UnicodeEncodeError:
            raise ResourceNotFound(self._settings.template()) from None
        if not self._selection.admits(path):
            await trio.lowlevel.checkpoint()
            raise ResourceNotFound(uri)
        read = partial(self._read, uri, path)
        return await trio.to_thread.run_sync(read, abandon_on_cancel=True, limiter=self._readers)

    def _read(self, uri: str, path: str) -> ResourceContents:
        most = self._settings.max_size
        try:
            return contents_of(uri, path, read_file(self._root, path, most))
        except NoSuchFile:
            raise ResourceNotFound(uri) from None
        except TooLarge:
            raise InvalidArgument(f"{uri} is larger than {most} bytes, the most that is read") from None
        except OSError as error:
            raise InvalidArgument(f"{uri} cannot be read: {error.strerror or error}") from None

    async def list_files(self) -> list[Resource]:
        """All files as last seen, folder by folder."""
        await trio.lowlevel.checkpoint()
        if self._known is None:
            self._missed = True
            return []
        if self._listed is None:
            # A list is asked for page by page, so it is kept.
            known = self._known
            listed = partial(self._resources, known)
            made = (
                listed()
                if len(known) < BIG
                else await trio.to_thread.run_sync(listed, abandon_on_cancel=True, limiter=self._readers)
            )
            if known is not self._known:
                return made
            self._listed = made
        return list(self._listed)

    def _resources(self, known: Mapping[str, File]) -> list[Resource]:
        return [
            Resource(
                uri=self._settings.uri_of(path),
                name=path,
                mime_type=type_of(path) or UNSET,
                size=file.size,
                annotations=modified(file.modified_ns),
            )
            for path, file in known.items()
        ]

    def install(self, registry: Registry) -> None:
        """Offer the files as resources, and have them watched: by demand, unless the settings say always.

        Raises:
            ValueError: the source's name or its URI is taken.
        """
        settings = self._settings
        registry.catalog.add_template(
            settings.template(),
            self.read,
            name=settings.name,
            description=f"A file of {settings.name}",
            list=self.list_files,
        )
        registry.add_source(
            settings.name,
            self.run,
            pattern=settings.template(),
            linger=seconds(settings.linger),
            always=settings.always,
        )


def install(registry: Registry, settings: FilesSettings) -> None:
    """Offer the files below a directory as resources, and have them watched.

    Raises:
        ValueError: the source's name or its URI is taken.
    """
    Files(settings).install(registry)
