"""A resource with a fixed URI."""

from __future__ import annotations

import trio
from msgspec import UNSET

from mcptrio.catalog import incident
from mcptrio.catalog.content import mime_type_of, resource_contents
from mcptrio.catalog.context import Context
from mcptrio.catalog.errors import DeclarationError
from mcptrio.catalog.handler import Handler, Injections
from mcptrio.catalog.signature import Function, describe, doc_of, name_of
from mcptrio.catalog.uri_template import check_spelling, has_variables
from mcptrio.live import InvalidUri, check_uri
from mcptrio.protocol import types
from mcptrio.protocol.types import ResourceContents


class Resource:
    """One resource. Made by `Catalog.add_resource`."""

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
        self.mime_type = mime_type
        description = description if description is not None else doc_of(function)
        self.listed = types.Resource(
            uri=uri,
            name=name or name_of(function),
            title=title or UNSET,
            description=description or UNSET,
            mime_type=mime_type or mime_type_of(self.handler.signature.returns) or UNSET,
        )
        """The resource as clients see it."""

    async def read(self, context: Context) -> list[ResourceContents]:
        """Run the handler. Checkpoints only where it does.

        Raises:
            RpcError: as the table in `mcptrio.catalog.errors` says.
        """
        try:
            value = await self.handler.run({}, context)
            return resource_contents(value, self.uri, self.mime_type, self.handler.signature.returns)
        except Exception as error:
            raise incident.refusal("resource", self.uri, error) from None
