"""A small JSON document that changes by itself, and the HTTP server that shows it: what the demo's poller polls."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random

import msgspec
import trio
from msgspec import Struct

from mcptrio.wire import Exchange, Limits, Listener

PATH = "/releases.json"

_STATES = ("planned", "building", "testing", "published")
_PROJECTS = ("anchor", "beacon", "compass", "drift", "ensign")


class Release(Struct):
    """One item of the feed."""

    id: str
    project: str
    version: str
    state: str
    downloads: int


class JsonFeed:
    """`{"releases": [...]}`, and what happens to it step by step; the same seed gives the same steps.

    Every step does one thing: a release appears, changes or disappears. There are never fewer than two
    releases or more than `most`. Synchronous.
    """

    def __init__(self, *, seed: int = 0, most: int = 8) -> None:
        self._random = Random(seed)
        self._most = max(most, 3)
        self._made = 0
        self.releases: list[Release] = []
        self.body = b""
        """The document as it is served."""
        self.etag = ""
        """Its entity tag: another one for every other document."""
        for _ in range(3):
            self._appear()
        self._render()

    def step(self) -> str:
        """Let one thing happen; returns what, in words."""
        kinds = ["change", "change", "change"]
        if len(self.releases) < self._most:
            kinds += ["appear", "appear"]
        if len(self.releases) > 2:
            kinds += ["disappear"]
        kind = self._random.choice(kinds)
        if kind == "appear":
            release = self._appear()
            happened = f"{release.id} appeared"
        elif kind == "disappear":
            release = self.releases.pop(self._random.randrange(len(self.releases)))
            happened = f"{release.id} disappeared"
        else:
            release = self._random.choice(self.releases)
            self._change(release)
            happened = f"{release.id} changed"
        self._render()
        return happened

    def _appear(self) -> Release:
        self._made += 1
        project = self._random.choice(_PROJECTS)
        version = f"{self._made // 10 + 1}.{self._made % 10}.0"
        # The number makes ids unique for ever: one that comes back would be another release under an old URI.
        release = Release(f"{project}-{self._made}", project, version, _STATES[0], 0)
        self.releases.append(release)
        return release

    def _change(self, release: Release) -> None:
        if release.state == _STATES[-1]:
            release.downloads += self._random.randint(1, 500)
        else:
            release.state = _STATES[_STATES.index(release.state) + 1]

    def _render(self) -> None:
        self.body = msgspec.json.encode({"releases": self.releases})
        self.etag = f'"{hashlib.blake2b(self.body, digest_size=8).hexdigest()}"'

    async def answer(self, exchange: Exchange) -> None:
        """Answer a request for the document, also a conditional one (a route of a `Listener`)."""
        await trio.lowlevel.checkpoint()
        headers = [("ETag", self.etag), ("Cache-Control", "no-cache")]
        if exchange.method not in ("GET", "HEAD"):
            exchange.respond(405, b"Only GET and HEAD.\n", headers=[("Allow", "GET, HEAD")])
        elif self.etag in [tag.strip() for tag in _field(exchange, "if-none-match").split(",")]:
            exchange.respond(304, headers=headers)
        else:
            exchange.respond(200, self.body, content_type="application/json", headers=headers)


async def serve_json_feed(  # noqa: ASYNC114  not a thing to be entered: it is always started
    feed: JsonFeed,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    every: float = 1.0,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve a feed, and let it take a step every so many seconds, until cancelled.

    `task_status` is given the document's URL once connections are accepted; port 0 picks a free one. If
    cancelled, the port is closed and its connections are cut.

    Raises:
        OSError: the address cannot be bound.
    """
    listeners = await trio.open_tcp_listeners(port, host=host)
    sockets = [listener.socket for listener in listeners]
    bound = sockets[0].getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    async with trio.open_nursery() as nursery:

        def start_connection(name: str, run: Callable[[], Awaitable[None]]) -> None:
            nursery.start_soon(run, name=name)

        listener = Listener(
            {PATH: feed.answer},
            limits=Limits(max_connections=64),
            start_connection=start_connection,
        )
        nursery.start_soon(partial(listener.serve, sockets))
        task_status.started(f"http://{shown}:{bound}{PATH}")
        while True:
            await trio.sleep(every)
            feed.step()


def _field(exchange: Exchange, name: str) -> str:
    return ", ".join(value for key, value in exchange.headers if key == name)
