"""A prompt: a handler with string arguments that gives messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import trio
from msgspec import UNSET, UnsetType

from mcptrio.catalog import incident
from mcptrio.catalog.arguments import StringArguments
from mcptrio.catalog.completion import Completions
from mcptrio.catalog.content import prompt_messages
from mcptrio.catalog.context import Context
from mcptrio.catalog.errors import DeclarationError
from mcptrio.catalog.handler import Handler, Injections
from mcptrio.catalog.metadata import checked_icons, checked_meta
from mcptrio.catalog.signature import MISSING, Function, describe, doc_of, name_of
from mcptrio.protocol import types
from mcptrio.protocol.results import GetPromptResult


class Prompt:
    """One prompt. Made by `Catalog.add_prompt`. A parameter without a default is a required argument."""

    def __init__(
        self,
        function: Function,
        injections: Injections,
        threads: trio.CapacityLimiter,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        icons: Sequence[types.Icon] | None = None,
        meta: Mapping[str, object] | None = None,
    ) -> None:
        """Raises `DeclarationError` when the function cannot be offered as a prompt."""
        where = describe(function)
        self.name = name if name is not None else name_of(function)
        if not self.name.strip() or not self.name.isprintable() or len(self.name) > 128:
            raise DeclarationError(
                f"{where}: a prompt's name is 1 to 128 printable characters, and {self.name[:200]!r} is not"
            )
        self.handler = Handler(function, injections, threads)
        self._arguments = StringArguments(self.handler.signature)
        self.completions = Completions(
            "prompt", self.name, self.handler.signature.arguments, injections, threads
        )
        self._description = (description if description is not None else doc_of(function)) or UNSET
        self.listed = types.Prompt(
            name=self.name,
            title=title or UNSET,
            description=self._description,
            arguments=self._listed_arguments(),
            icons=checked_icons(where, icons),
            meta=checked_meta(where, meta),
        )
        """The prompt as clients see it."""

    async def get(self, arguments: Mapping[str, str], context: Context) -> GetPromptResult:
        """Fill in the prompt. Checkpoints only where the handler does.

        Raises:
            RpcError: -32602 naming the argument that is missing, unknown or wrong; else as the table in
                `mcptrio.catalog.errors` says.
        """
        try:
            value = await self.handler.run(self._arguments.read(arguments), context)
            return GetPromptResult(messages=prompt_messages(value), description=self._description)
        except Exception as error:
            raise incident.refusal("prompt", self.name, error) from None

    def _listed_arguments(self) -> list[types.PromptArgument] | UnsetType:
        properties = self._arguments.schema.get("properties", {})
        assert isinstance(properties, dict)
        listed = [
            types.PromptArgument(
                name=argument.name,
                title=properties[argument.name].get("title", UNSET),
                description=properties[argument.name].get("description", UNSET),
                required=argument.default is MISSING,
            )
            for argument in self.handler.signature.arguments
        ]
        return listed or UNSET
