"""The client: `open_client`, and what can be done with a server."""

from __future__ import annotations

import math
import random
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar, overload

import trio

from mcptrio.client.call import OnProgress
from mcptrio.client.carrier import Connect, StdioCommand
from mcptrio.client.carrier.headers import can_be_marked
from mcptrio.client.errors import InvalidResponse, TimedOut
from mcptrio.client.limits import Limits
from mcptrio.client.line import Line
from mcptrio.client.negotiation import Agreed, decode_result
from mcptrio.client.selection import Selection
from mcptrio.client.subscription import ListChanges, Subscription
from mcptrio.client.target import Target, find_target
from mcptrio.client.watch import Watch
from mcptrio.protocol import Revision
from mcptrio.protocol.results import (
    CallToolResult,
    GetPromptResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    ReadResourceResult,
)
from mcptrio.protocol.types import Implementation, Object, Prompt, Resource, ResourceTemplate, Tool
from mcptrio.supervision.backoff import Backoff

CLOSE_TIMEOUT = 2.0
"""Seconds that leaving `open_client` may take, cancelled or not."""

T = TypeVar("T")
Page = TypeVar("Page", ListToolsResult, ListResourcesResult, ListResourceTemplatesResult, ListPromptsResult)


@dataclass(frozen=True, slots=True)
class ClientStatistics:
    """A snapshot: connections made so far, requests in flight, subscriptions open."""

    connected: bool
    connections: int
    calls: int
    subscriptions: int


class Client:
    """A conversation with one server, over one connection after the other. Made by `open_client`.

    Any number of tasks may use it at once. Every method that asks the server raises `RpcError` (the server
    refused), `ConnectionLost` (the connection ended while the answer was awaited, or is gone for good),
    `TimedOut` (`timeout` in seconds, None is the client's own; waiting for a reconnect counts) and
    `InvalidResponse`. A call that is cancelled or times out tells the server so; the client stays usable.
    """

    def __init__(self, line: Line, timeout: float) -> None:
        self._line = line
        self._timeout = timeout

    @property
    def revision(self) -> str:
        """The version agreed on, as on the wire; with servers older than 2025-11-25 it is theirs."""
        return self._agreed.version

    @property
    def server_info(self) -> Implementation | None:
        """Who the server says it is; None if it does not say."""
        return self._agreed.server_info

    @property
    def capabilities(self) -> Object:
        """What the server offers."""
        return self._agreed.capabilities

    @property
    def instructions(self) -> str | None:
        """How the server wants to be used."""
        return self._agreed.instructions

    @property
    def _agreed(self) -> Agreed:
        assert self._line.agreed is not None, "open_client gives out connected clients only"
        return self._line.agreed

    def statistics(self) -> ClientStatistics:
        """A snapshot of the client's state."""
        return ClientStatistics(
            connected=self._line.connected,
            connections=self._line.connections,
            calls=self._line.calls,
            subscriptions=self._line.subscriptions,
        )

    @overload
    async def request(
        self,
        method: str,
        params: Mapping[str, object] | None = None,
        *,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> Object: ...

    @overload
    async def request(
        self,
        method: str,
        params: Mapping[str, object] | None = None,
        *,
        result_type: type[T],
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> T: ...

    async def request(
        self,
        method: str,
        params: Mapping[str, object] | None = None,
        *,
        result_type: type[object] = dict[str, object],
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> object:
        """Send any request. What the revision wants in `_meta` is added to the params.

        `on_progress(progress, total, message)` is called by the task that reads the connection, so it must
        return at once; if it raises, the call ends with that error.
        """
        limit = self._timeout if timeout is None else timeout
        with trio.move_on_after(limit):
            session = await self._line.session()
            raw = await session.call(method, params or {}, on_progress)
            return decode_result(raw, result_type, method)
        raise TimedOut(f"{method}: no answer within {limit:g} s")

    async def ping(self, *, timeout: float | None = None) -> None:
        """One round trip through the server: `ping`, or `server/discover` where there is no ping."""
        limit = self._timeout if timeout is None else timeout
        with trio.move_on_after(limit):
            session = await self._line.session()
            return await session.ping()
        raise TimedOut(f"ping: no answer within {limit:g} s")

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, object] | None = None,
        *,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> CallToolResult:
        """Call a tool. What the tool itself says went wrong is a result with `is_error`.

        `on_progress` is as in `request`.
        """
        params: Object = {"name": name}
        if arguments is not None:
            params["arguments"] = arguments
        return await self.request(
            "tools/call", params, result_type=CallToolResult, timeout=timeout, on_progress=on_progress
        )

    async def read_resource(self, uri: str, *, timeout: float | None = None) -> ReadResourceResult:
        """Read a resource."""
        return await self.request(
            "resources/read", {"uri": uri}, result_type=ReadResourceResult, timeout=timeout
        )

    async def get_prompt(
        self, name: str, arguments: Mapping[str, str] | None = None, *, timeout: float | None = None
    ) -> GetPromptResult:
        """Get a prompt, filled in."""
        params: Object = {"name": name}
        if arguments is not None:
            params["arguments"] = arguments
        return await self.request("prompts/get", params, result_type=GetPromptResult, timeout=timeout)

    async def list_tools(self, *, timeout: float | None = None) -> list[Tool]:
        """All tools; the timeout is for all pages together, here and below.

        By HTTP in the newer revision those are left out whose schema marks arguments for headers in a way that
        nobody could call them: the specification wants that.
        """
        pages = await self._pages("tools/list", ListToolsResult, timeout)
        tools = [tool for page in pages for tool in page.tools]
        if self._line.is_http and self._agreed.revision is Revision.MODERN:
            return [tool for tool in tools if can_be_marked(tool.input_schema)]
        return tools

    async def list_resources(self, *, timeout: float | None = None) -> list[Resource]:
        """All resources."""
        pages = await self._pages("resources/list", ListResourcesResult, timeout)
        return [resource for page in pages for resource in page.resources]

    async def list_resource_templates(self, *, timeout: float | None = None) -> list[ResourceTemplate]:
        """All resource templates."""
        pages = await self._pages("resources/templates/list", ListResourceTemplatesResult, timeout)
        return [template for page in pages for template in page.resource_templates]

    async def list_prompts(self, *, timeout: float | None = None) -> list[Prompt]:
        """All prompts."""
        pages = await self._pages("prompts/list", ListPromptsResult, timeout)
        return [prompt for page in pages for prompt in page.prompts]

    async def _pages(self, method: str, type_: type[Page], timeout: float | None) -> list[Page]:
        limit = self._timeout if timeout is None else timeout
        pages: list[Page] = []
        seen: set[str] = set()
        params: Object = {}
        with trio.move_on_after(limit):
            while True:
                page = await self.request(method, params, result_type=type_, timeout=math.inf)
                pages.append(page)
                cursor = page.next_cursor
                if not isinstance(cursor, str):  # an empty cursor is one too
                    return pages
                if cursor in seen:
                    raise InvalidResponse(f"{method}: the cursor {cursor[:100]!r} came twice")
                seen.add(cursor)
                params = {"cursor": cursor}
        raise TimedOut(f"{method}: {len(pages)} pages, but not all, within {limit:g} s")

    def subscribe(self, *uris: str, missing_ok: bool = False, timeout: float | None = None) -> Subscription:
        """Updates of resources, as an async context manager that is also the iterator: see `Subscription`.

        Entering raises `RpcError` when the server does not offer one of the URIs; with `missing_ok` the
        others are subscribed and `Subscription.missing` says which are not.

        Raises:
            ValueError: no URI.
        """
        if not uris:
            raise ValueError("subscribe to at least one URI")
        return Subscription(self._line, tuple(dict.fromkeys(uris)), missing_ok=missing_ok, timeout=timeout)

    def watch(
        self,
        uri: str | None = None,
        *,
        template: str | None = None,
        glob: str | None = None,
        filter: Mapping[str, object] | None = None,
        policy: str | Mapping[str, object] = "conflate",
        fields: str | Sequence[str] = "none",
        since: str | None = None,
        timeout: float | None = None,
    ) -> Watch:
        """Changes by the extension `io.mcptrio/live`, as an async context manager that is also the iterator: see `Watch`.

        Of one URI, or of all that fit an RFC 6570 `template` or a `glob`; of those changes that a `filter` lets through;
        told by a `policy` (`conflate`, `every`, or `batch(window, max_wait)`) with the `fields` of their data (`none`,
        `metadata`, `all`, or JSON pointers); `since` a cursor. All of these are as in docs/extension.md.

        Entering raises `RpcError` when the server refuses, or has nothing that could ever match, and `ExtensionMissing`
        when it does not have the extension and this needs it.

        Raises:
            ValueError: not exactly one of a URI, a template and a glob; a policy or fields of another form.
        """
        selection = Selection(uri, template, glob, filter, policy, fields)
        return Watch(self._line, selection, self._line.new_label(), since=since, timeout=timeout)

    def list_changes(self, *, timeout: float | None = None) -> ListChanges:
        """Changes of the lists, as an async context manager that is also the iterator: see `ListChanges`."""
        return ListChanges(self._line, timeout=timeout)


@asynccontextmanager
async def open_client(
    server: str | StdioCommand | Target,
    *,
    token: str | None = None,
    tls: ssl.SSLContext | None = None,
    revision: str = "auto",
    timeout: float = 30.0,
    reconnect: bool = True,
    client_info: Implementation | None = None,
    connect: Connect | None = None,
    backoff: Backoff | None = None,
    limits: Limits | None = None,
    probe_timeout: float = 5.0,
    on_lost: Callable[[Exception, float], None] | None = None,
    rng: random.Random | None = None,
) -> AsyncIterator[Client]:
    """Connect to a server: by WebSocket (`ws:`, `wss:`, `unix:/path`), HTTP (`http:`, `https:`) or a command to start.

    Leaving closes within two seconds; a command has that long to end, and as long again after SIGTERM.

    `token` is sent as a bearer with every HTTP request and every upgrade; `tls` replaces the default context.
    `revision` is "auto" or a protocol version. `timeout` (seconds) is for connecting and the default for
    calls. `connect` gives a stream to use instead of dialling the URL, which then only names host and path; a
    `Target` says itself how it is reached.

    With `reconnect`, a lost connection is made again, as often as it takes, waiting as `backoff` says
    (`on_lost` is told the reason and the wait). Calls in flight fail, new ones wait; subscriptions are made
    again, and each then gives one gap update for each of its URIs; watches go on where they were. The first connection is tried once.

    Raises:
        ConnectionLost: the server cannot be reached. RpcError, InvalidResponse, TimedOut: it can, but there
            is no agreement with it. ValueError: an unknown revision, nothing to connect to,
            or a token that cannot be sent.
    """
    wanted = None if revision == "auto" else Revision(revision)
    target = find_target(server, timeout=timeout, token=token, tls=tls, connect=connect, limits=limits)
    line = Line(
        target,
        wanted,
        timeout=timeout,
        reconnect=reconnect,
        client_info=client_info or _default_info(),
        backoff=backoff or Backoff(),
        probe_timeout=probe_timeout,
        on_lost=on_lost,
        rng=rng or random.Random(),
    )
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(line.run)  # noqa: ASYNC113 - `session()` below waits for it
        try:
            await line.session()
            yield Client(line, timeout)
        except Exception as error:
            # Raised again outside, so that no exception group of this nursery reaches the caller.
            failure = error
        finally:
            with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await line.aclose()
            line.stop()
    if failure is not None:
        raise failure


def _default_info() -> Implementation:
    # Imported late: the package's own front page may import this room.
    from mcptrio import __version__

    return Implementation(name="mcptrio", version=__version__)
