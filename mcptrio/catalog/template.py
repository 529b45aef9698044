"""A template: many resources of one shape, served by one handler."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import trio
from msgspec import UNSET

from mcptrio.catalog import incident
from mcptrio.catalog.arguments import StringArguments
from mcptrio.catalog.blocks import encodable
from mcptrio.catalog.completion import Completions
from mcptrio.catalog.content import Contents
from mcptrio.catalog.context import Context
from mcptrio.catalog.errors import DeclarationError, InvalidArgument
from mcptrio.catalog.handler import Handler, Injections
from mcptrio.catalog.metadata import checked_annotations, checked_caching, checked_icons, checked_meta
from mcptrio.catalog.signature import MISSING, Function, Signature, describe, doc_of, name_of
from mcptrio.catalog.uri_template import UriTemplate, check_spelling
from mcptrio.live import InvalidUri, check_uri
from mcptrio.protocol import types
from mcptrio.protocol.types import ResourceContents


class Template:
    """One resource template. Made by `Catalog.add_template`.

    A URI belongs to the template when it matches and its variables convert to what the parameters are
    annotated with: `item://{id}` with `id: int` serves `item://7` and knows nothing of `item://seven`.
    `ttl`, `public` and `cache` are as those of `Resource`.
    """

    def __init__(
        self,
        uri_template: str,
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
        ttl: float | None = None,
        public: bool = False,
        cache: float | None = None,
    ) -> None:
        """Raises `DeclarationError` when the function cannot be offered under this template."""
        where = describe(function)
        self.uri_template = UriTemplate(uri_template)
        check_spelling(where, uri_template)
        self._is_file = uri_template.startswith("file:")
        self.handler = Handler(function, injections, threads)
        _check_variables(where, self.uri_template, self.handler.signature)
        self._arguments = StringArguments(self.handler.signature)
        self._injections = injections
        self._threads = threads
        self._list: Handler | None = None
        self.completions = Completions(
            "template", uri_template, self.handler.signature.arguments, injections, threads
        )
        self.caching = checked_caching(where, ttl, public, cache)
        self._contents = Contents(self.handler.signature, mime_type)
        description = description if description is not None else doc_of(function)
        self.listed = types.ResourceTemplate(
            uri_template=uri_template,
            name=name or name_of(function),
            title=title or UNSET,
            description=description or UNSET,
            mime_type=self._contents.mime_type or UNSET,
            annotations=checked_annotations(where, annotations),
            icons=checked_icons(where, icons),
            meta=checked_meta(where, meta),
        )
        """The template as clients see it."""

    def set_list(self, function: Function) -> None:
        """Set the function that lists the template's resources, replacing an earlier one.

        Raises:
            DeclarationError: when it takes arguments.
        """
        handler = Handler(function, self._injections, self._threads)
        if handler.signature.asked:
            raise DeclarationError(f"{describe(function)}: a list function cannot ask the client anything")
        if handler.signature.arguments:
            extra = handler.signature.arguments[0].name
            raise DeclarationError(
                f"{describe(function)}: a list function gets no arguments, but has `{extra}`; only what is "
                "declared to be injected"
            )
        self._list = handler

    def arguments(self, uri: str) -> dict[str, object] | None:
        """The handler's arguments for a URI; None when the URI is not of this template. Without side effects.

        For a `file:` template, a value that leads out of its place (`..`, an absolute path) is none either.
        """
        values = self.uri_template.match(uri)
        if values is None:
            return None
        if self._is_file and any(map(leads_astray, values.values())):
            return None
        try:
            return self._arguments.read(values)
        except InvalidArgument:
            return None

    async def read(self, uri: str, arguments: dict[str, object], context: Context) -> list[ResourceContents]:
        """Run the handler with what `arguments()` gave. Checkpoints only where it does.

        Raises:
            RpcError: as the table in `mcptrio.catalog.errors` says.
        """
        try:
            value = await self.handler.run(arguments, context)
            return self._contents.of(value, uri)
        except Exception as error:
            raise incident.refusal("template", self.uri_template.text, error) from None

    async def list_resources(self, context: Context) -> Sequence[types.Resource]:
        """What the list function gives; nothing when there is none.

        A string is a URI of the template or, where the template has a single variable, its value.
        A function that fails is logged and lists nothing: it must not hide the rest of the catalog.
        """
        if self._list is None:
            return ()
        try:
            items = await self._list.run({}, context)
            if isinstance(items, str) or not isinstance(items, Iterable):
                raise TypeError(
                    f"a list function returns a list of str or Resource, not {type(items).__name__}"
                )
            return [self._listed(item) for item in items]
        except Exception as error:
            incident.report("template list", self.uri_template.text, error)
            return ()

    def _listed(self, item: object) -> types.Resource:
        if isinstance(item, types.Resource):
            check_uri(item.uri)
            return item
        if not isinstance(item, str):
            raise TypeError(f"a list function returns str or Resource, not {type(item).__name__}")
        uri = encodable(item)
        values = self.uri_template.match(uri) if _is_uri(uri) else None
        if values is None:
            if len(self.uri_template.variables) != 1:
                raise ValueError(f"{item!r} is no URI of {self.uri_template.text!r}")
            values = {self.uri_template.variables[0]: uri}
            uri = self.uri_template.expand(values)
        return types.Resource(
            uri=uri,
            name="/".join(values.values()) or self.listed.name,
            description=self.listed.description,
            mime_type=self.listed.mime_type,
            annotations=self.listed.annotations,
            icons=self.listed.icons,
        )


def _is_uri(text: str) -> bool:
    try:
        check_uri(text)
    except InvalidUri:
        return False
    return True


def leads_astray(path: str) -> bool:
    """Whether a part of a `file:` URI names more than a place below: `..`, an absolute path, a NUL."""
    return "\0" in path or path.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", path)


def _check_variables(where: str, template: UriTemplate, signature: Signature) -> None:
    if not template.variables:
        raise DeclarationError(f"{where}: {template.text!r} has no variables; add it as a resource")
    arguments = {argument.name: argument for argument in signature.arguments}
    for name in template.variables:
        if name not in arguments:
            raise DeclarationError(
                f"{where}: the template's variable `{name}` has no parameter; add `{name}: str`"
            )
    for argument in signature.arguments:
        if argument.name not in template.variables:
            hint = "" if argument.default is MISSING else ", its default included,"
            raise DeclarationError(
                f"{where}: parameter `{argument.name}` is no variable of {template.text!r}; remove it{hint} "
                "or declare what is to be injected before this handler"
            )
