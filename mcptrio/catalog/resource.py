"""A resource with a fixed URI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import trio
from msgspec import UNSET

from mcptrio.catalog import incident
from mcptrio.catalog.content import Contents
from mcptrio.catalog.context import Context
from mcptrio.catalog.errors import DeclarationError
from mcptrio.catalog.handler import Handler, Injections
from mcptrio.catalog.metadata import checked_annotations, checked_caching, checked_icons, checked_meta
from mcptrio.catalog.signature import Function, describe, doc_of, name_of
from mcptrio.catalog.uri_template import check_spelling, has_variables
from mcptrio.live import InvalidUri, check_uri
from mcptrio.protocol import types
from mcptrio.protocol.types import ResourceContents


class Resource:
    """One resource. Made by `Catalog.add_resource`.

    `size` is in bytes. `ttl` (seconds) and `public` tell clients of 2026-07-28 how long and by whom what they read may
    be kept; `cache` is how many seconds the server keeps it itself.
    """

    def __init__(
        self,
        uri: str,
        function: Function,
        injections: Injections,
        threads: trio.CapacityLimiter,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        mime_type: str | None = None,
        annotations: types.Annotations | None = None,
        icons: Sequence[types.Icon] | None = None,
        meta: Mapping[str, object] | None = None,
        size: int | None = None,
        ttl: float | None = None,
        public: bool = False,
        cache: float | None = None,
    ) -> None:
        """Raises `DeclarationError` when the function cannot be offered as this resource."""
        where = describe(function)
        if has_variables(uri):
            raise DeclarationError(f"{where}: {uri!r} is a template; add it as one")
        try:
            check_uri(uri)
        except InvalidUri as error:
            raise DeclarationError(f"{where}: {uri[:200]!r} is no resource URI: {error}") from None
        check_spelling(where, uri)
        self.uri = uri
        self.handler = Handler(function, injections, threads)
        if self.handler.signature.arguments:
            extra = self.handler.signature.arguments[0].name
            raise DeclarationError(
                f"{where}: the resource {uri!r} has no variable for parameter `{extra}`; put `{{{extra}}}` "
                "into the URI, remove the parameter, or declare what is to be injected before this handler"
            )
        if size is not None and size < 0:
            raise DeclarationError(f"{where}: size={size!r} must be a number of bytes, or None")
        self.caching = checked_caching(where, ttl, public, cache)
        self._contents = Contents(self.handler.signature, mime_type)
        description = description if description is not None else doc_of(function)
        self.listed = types.Resource(
            uri=uri,
            name=name or name_of(function),
            title=title or UNSET,
            description=description or UNSET,
            mime_type=self._contents.mime_type or UNSET,
            size=UNSET if size is None else size,
            annotations=checked_annotations(where, annotations),
            icons=checked_icons(where, icons),
            meta=checked_meta(where, meta),
        )
        """The resource as clients see it."""

    async def read(self, context: Context) -> list[ResourceContents]:
        """Run the handler. Checkpoints only where it does.

        Raises:
            RpcError: as the table in `mcptrio.catalog.errors` says.
        """
        try:
            value = await self.handler.run({}, context)
            return self._contents.of(value, self.uri)
        except Exception as error:
            raise incident.refusal("resource", self.uri, error) from None
