"""Real input, end to end: a file behind `python -m http.server`, polled by `mcptrio serve`, heard by everybody's client."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from .conftest import StartClient
from .processes import Driven, LineProcess, file_server, mcptrio

URI = "releases://trio"


@dataclass
class Releases:
    """A JSON file that is served over HTTP, and the URL of the mcptrio server that polls it."""

    file: Path
    url: str = ""

    def write(self, version: str, *, modified_at: float) -> str:
        """Replace the file in one step; its modification time is given. Returns the release's own JSON."""
        release = {"id": "trio", "version": version}
        fresh = self.file.with_suffix(".new")
        fresh.write_text(json.dumps({"releases": [release, {"id": "other", "version": "1"}]}))
        os.utime(fresh, (modified_at, modified_at))
        fresh.replace(self.file)
        return json.dumps(release, separators=(",", ":"))


@asynccontextmanager
async def polled(tmp_path: Path) -> AsyncIterator[Releases]:
    """The file, the web server and the mcptrio server, each a process of its own."""
    served = tmp_path / "served"
    served.mkdir()
    releases = Releases(served / "releases.json")
    # The first version is old, so the poller begins with conditional requests and 304s.
    releases.write("0.34", modified_at=time.time() - 3600)
    async with file_server(served) as web:
        # "Serving HTTP on 127.0.0.1 port 40000 (http://127.0.0.1:40000/) ..."
        address = (await web.output.next()).partition("(")[2].partition(")")[0]
        config = tmp_path / "releases.toml"
        config.write_text(
            f"""
            [server]
            name = "releases"
            port = 0

            [[source]]
            kind = "poller"
            name = "releases"
            url = "{address}releases.json"
            every = "100ms"
            items = "/releases"
            id = "/id"
            uri = "releases://{{id}}"
            always = true
            """
        )
        async with mcptrio("serve", config) as server:
            releases.url = json.loads(await server.output.next())["websocket"]
            await conditional_request(web)
            yield releases
            assert await server.terminate() == 0


async def conditional_request(web: LineProcess) -> None:
    """Wait until the web server has answered a conditional request: the first version is known as the baseline."""
    while " 304 " not in await web.errors.next():
        pass


async def watching(stack: AsyncExitStack, url: str) -> LineProcess:
    """`mcptrio watch` on the release, subscribed."""
    watch = await stack.enter_async_context(mcptrio("watch", url, URI, "--json", errors=True))
    assert await watch.errors.next() == "watching 1 resource"
    return watch


async def expect_change(watch: LineProcess, clients: dict[str, Driven], content: str) -> None:
    """Everybody hears of the change, and whoever reads then reads the new content."""
    line = json.loads(await watch.output.next())
    assert (line["uri"], line["kind"], line["gap"]) == (URI, "updated", False)
    for name, client in clients.items():
        assert await client.update() == URI, name
        assert await client.do("read", uri=URI) == [content], name


async def test_a_rewritten_file_reaches_watch_and_every_sdk_and_reads_as_the_new_content(
    tmp_path: Path, sdk_1: StartClient, sdk_2: StartClient
) -> None:
    async with polled(tmp_path) as releases, AsyncExitStack() as stack:
        clients = {"sdk 1": await stack.enter_async_context(sdk_1(releases.url))}
        for mode in ("legacy", "auto", "2026-07-28"):
            clients[f"sdk 2, {mode}"] = await stack.enter_async_context(sdk_2(releases.url, mode))
        await clients["sdk 1"].do("initialize")
        before = '{"id":"trio","version":"0.34"}'
        for client in clients.values():
            await client.do("subscribe", uri=URI)
            assert await client.do("read", uri=URI) == [before]
        watch = await watching(stack, releases.url)

        # Both rewrites have one modification time, as within a second. That it lies ahead makes no difference to the
        # web server, and keeps a slow machine from putting two honest seconds between them.
        moment = float(int(time.time()) + 60)
        for version in ("0.35", "0.36"):
            content = releases.write(version, modified_at=moment)
            await expect_change(watch, clients, content)

        for name, client in clients.items():
            assert client.updates_nowait() == [], name
            assert await client.leave() == 0, name
        assert await watch.terminate() == 0


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_a_rewritten_file_reaches_watch_in_each_revision_and_reads_as_the_new_content(
    tmp_path: Path, revision: str
) -> None:
    """Without judges: this one runs everywhere."""
    async with polled(tmp_path) as releases, AsyncExitStack() as stack:
        watch = await stack.enter_async_context(
            mcptrio("watch", releases.url, URI, "--revision", revision, errors=True)
        )
        assert await watch.errors.next() == "watching 1 resource"
        content = releases.write("0.35", modified_at=time.time())
        assert (await watch.output.next()).split()[1:] == ["updated", URI]
        async with mcptrio("read", releases.url, URI) as reader:
            assert await reader.output.rest() == content
        assert await watch.terminate() == 0
