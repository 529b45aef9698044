"""The catalog: everything a server offers, in the order of its declaration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import TypeVar, Unpack

import trio
from msgspec import Raw

from mcptrio.catalog import incident
from mcptrio.catalog.completion import Completions
from mcptrio.catalog.context import Context
from mcptrio.catalog.errors import DeclarationError
from mcptrio.catalog.handler import Handler, Injections
from mcptrio.catalog.header import Headers
from mcptrio.catalog.list_kind import ListKind
from mcptrio.catalog.metadata import UNCACHED, Caching
from mcptrio.catalog.options import PromptOptions, ResourceOptions, TemplateOptions, ToolOptions
from mcptrio.catalog.prompt import Prompt
from mcptrio.catalog.resource import Resource
from mcptrio.catalog.signature import Function, without_metadata
from mcptrio.catalog.template import Template
from mcptrio.catalog.tool import Tool
from mcptrio.catalog.uri_template import UriTemplate
from mcptrio.protocol import Failure, Revision, RpcError, types
from mcptrio.protocol.params import CompleteParams, PromptReference
from mcptrio.protocol.results import CallToolResult, Completion, GetPromptResult
from mcptrio.protocol.types import ResourceContents

THREADS = 40
"""How many plain functions run at a time, unless the catalog is told otherwise."""

OWN = "mcptrio://"
"""How the URIs begin at which a server tells of itself: they are listed after all others."""

_Entry = TypeVar("_Entry", Tool, Resource, Template, Prompt)


class Catalog:
    """Tools, resources, templates and prompts, and what is injected into their handlers.

    Owned by the Trio thread: every method is to be called there (declaring before the run is fine). Adding
    and removing are synchronous, take effect at once, and call `on_change` once each; requests under way
    finish with what they began with. `on_change` must not raise.
    """

    def __init__(
        self, *, on_change: Callable[[ListKind], None] = lambda kind: None, threads: int = THREADS
    ) -> None:
        """`threads` bounds how many plain functions run at a time; the others wait, first come, first
        served.
        """
        self._on_change = on_change
        self._injections = Injections()
        self._threads = trio.CapacityLimiter(threads)
        self._tools: dict[str, Tool] = {}
        self._resources: dict[str, Resource] = {}
        self._templates: dict[str, Template] = {}
        self._prompts: dict[str, Prompt] = {}
        self._patterns: dict[str | UriTemplate, UriTemplate] = {}
        self._pattern_counts: Counter[str | UriTemplate] = Counter()
        self._listed_tools: dict[Revision, Sequence[types.Tool]] = {}

    # What is injected

    def declare(self, type_: object) -> None:
        """Make parameters annotated with exactly this type injected, in handlers added from now on.

        `Context` needs no declaration. Subclasses and bases are different types. Idempotent.

        Raises:
            ValueError: for a plain JSON type, or when a handler already offers an argument of this type.
        """
        for handler in self._handlers():
            for argument in handler.signature.arguments:
                if without_metadata(argument.annotation) == type_:
                    raise DeclarationError(
                        f"{handler.signature.function}: `{argument.name}` was taken for an argument, "
                        "because its type was declared later; declare what provides it (the lifespan) "
                        "before this handler"
                    )
        self._injections.declare(type_)

    def provide(self, type_: object, value: object) -> None:
        """Set the value for parameters of a declared type, replacing an earlier one.

        Raises:
            ValueError: when the type was not declared.
        """
        self._injections.provide(type_, value)

    def withdraw(self, type_: object) -> None:
        """Forget the value for a type: calls that need it fail as unexpected from now on. Idempotent."""
        self._injections.withdraw(type_)

    # Tools

    def add_tool(self, fn: Function, **options: Unpack[ToolOptions]) -> Tool:
        """Offer a function as a tool; see `Tool` for the options.

        Raises:
            DeclarationError: naming the function and the change to make. It is a ValueError.
        """
        tool = Tool(fn, self._injections, self._threads, **options)
        _add(self._tools, tool.name, tool, "tool")
        self._tools_changed()
        return tool

    def remove_tool(self, name: str) -> None:
        """Stop offering a tool.

        Raises:
            ValueError: when there is none of this name.
        """
        if self._tools.pop(name, None) is None:
            raise ValueError(f"there is no tool {name!r}")
        self._tools_changed()

    def tools(self, revision: Revision) -> Sequence[types.Tool]:
        """The tools as clients of this revision see them."""
        listed = self._listed_tools.get(revision)
        if listed is None:
            listed = self._listed_tools[revision] = tuple(
                tool.listed[revision] for tool in self._tools.values()
            )
        return listed

    async def call_tool(
        self, name: str, arguments: Raw | bytes | None, context: Context, revision: Revision
    ) -> CallToolResult:
        """Call a tool with JSON arguments. Failures of the tool are results with `is_error`.

        Checkpoints only where the handler does. If cancelled, the handler was cancelled and nothing is
        answered.

        Raises:
            RpcError: -32602 for an unknown tool, or when the arguments are no JSON object.
        """
        tool = self._tools.get(name)
        if tool is None:
            raise RpcError.of(Failure.INVALID_PARAMS, f"Unknown tool: {name[:200]}")
        return await tool.call(arguments, context, revision)

    def header_parameters(self, name: str) -> Headers:
        """Which arguments of a tool a client repeats as HTTP headers; none for an unknown tool."""
        tool = self._tools.get(name)
        return {} if tool is None else tool.headers

    # Resources

    def add_resource(self, uri: str, fn: Function, **options: Unpack[ResourceOptions]) -> Resource:
        """Offer a function as the resource of one URI; see `Resource` for the options.

        Raises:
            DeclarationError: naming the function and the change to make. It is a ValueError.
        """
        resource = Resource(uri, fn, self._injections, self._threads, **options)
        _add(self._resources, uri, resource, "resource")
        self._on_change(ListKind.RESOURCES)
        return resource

    def add_template(
        self,
        uri_template: str,
        fn: Function,
        *,
        list: Function | None = None,
        **options: Unpack[TemplateOptions],
    ) -> Template:
        """Offer a function as the resources of a URI template; `list` is as in `set_list`, the rest as in `Template`.

        Raises:
            DeclarationError: naming the function and the change to make. It is a ValueError.
        """
        template = Template(uri_template, fn, self._injections, self._threads, **options)
        if list is not None:
            template.set_list(list)
        _add(self._templates, uri_template, template, "template")
        self._on_change(ListKind.RESOURCES)
        return template

    def set_list(self, uri_template: str, fn: Function) -> None:
        """Set the function that lists a template's resources: plain or async, injected parameters only.

        It returns a list of `str` (URIs, or values of the template's only variable) or of `types.Resource`.

        Raises:
            ValueError: when there is no such template.
            DeclarationError: when the function takes arguments.
        """
        template = self._templates.get(uri_template)
        if template is None:
            raise ValueError(f"there is no template {uri_template!r}")
        template.set_list(fn)
        self._on_change(ListKind.RESOURCES)

    def remove_resource(self, uri_or_template: str) -> None:
        """Stop offering a resource or a template.

        Raises:
            ValueError: when there is neither.
        """
        if (
            self._resources.pop(uri_or_template, None) is None
            and self._templates.pop(uri_or_template, None) is None
        ):
            raise ValueError(f"there is no resource or template {uri_or_template!r}")
        self._on_change(ListKind.RESOURCES)

    def templates(self) -> Sequence[types.ResourceTemplate]:
        """The templates as clients see them."""
        listed = (template.listed for template in self._templates.values())
        return tuple(sorted(listed, key=lambda template: template.uri_template.startswith(OWN)))

    async def list_resources(self, context: Context) -> Sequence[types.Resource]:
        """The resources: first those with a fixed URI, then what each template lists, each URI once.

        The order is that of declaration, and within a template that of its list function; the server's `OWN`
        come last. A list function that fails is logged and left out. Checkpoints only where list functions do.
        """
        listed = {uri: resource.listed for uri, resource in self._resources.items()}
        for template in tuple(self._templates.values()):
            for resource in await template.list_resources(context):
                listed.setdefault(resource.uri, resource)
        return tuple(sorted(listed.values(), key=lambda resource: resource.uri.startswith(OWN)))

    async def read(self, uri: str, context: Context) -> list[ResourceContents]:
        """Read a resource: the one of this URI, else the first template whose variables fit.

        Checkpoints only where the handler does.

        Raises:
            RpcError: resource not found with `data.uri`; else as the table in `mcptrio.catalog.errors` says.
        """
        resource = self._resources.get(uri)
        if resource is not None:
            return await resource.read(context)
        template, arguments = self._template_of(uri)
        if template is None:
            raise incident.not_found(uri)
        return await template.read(uri, arguments, context)

    def caching(self, uri: str) -> Caching:
        """How long what is read of this URI may be kept, by its declaration."""
        offered = self._resources.get(uri) or self._template_of(uri)[0]
        return UNCACHED if offered is None else offered.caching

    # What could exist

    def add_pattern(self, pattern: str | UriTemplate) -> None:
        """Say that a source may report changes of URIs like this; the same pattern may be added many times.

        Raises:
            DeclarationError: when this is no URI template.
        """
        if pattern not in self._patterns:
            self._patterns[pattern] = UriTemplate(pattern) if isinstance(pattern, str) else pattern
        self._pattern_counts[pattern] += 1

    def remove_pattern(self, uri_template: str) -> None:
        """Take back one `add_pattern`.

        Raises:
            ValueError: when there is none left to take back.
        """
        if uri_template not in self._patterns:
            raise ValueError(f"there is no pattern {uri_template!r}")
        self._pattern_counts[uri_template] -= 1
        if not self._pattern_counts[uri_template]:
            del self._patterns[uri_template], self._pattern_counts[uri_template]

    def could_serve(self, uri: str) -> bool:
        """Whether the URI is a resource, fits a template or fits a source's pattern. Runs no handler."""
        return self.offers(uri) or any(pattern.match(uri) is not None for pattern in self._patterns.values())

    def could_serve_below(self, beginning: str) -> bool:
        """Whether a URI that begins so may be served, as far as beginnings tell. Linear in resources where none fits."""
        templates = (template.uri_template for template in self._templates.values())
        return any(one.could_begin(beginning) for one in chain(self._patterns.values(), templates)) or any(
            uri.startswith(beginning) for uri in self._resources
        )

    def offers(self, uri: str) -> bool:
        """Whether the URI is a resource or fits a template, so that reading it runs a handler."""
        return uri in self._resources or self._template_of(uri)[0] is not None

    def _template_of(self, uri: str) -> tuple[Template | None, dict[str, object]]:
        for template in self._templates.values():
            arguments = template.arguments(uri)
            if arguments is not None:
                return template, arguments
        return None, {}

    # Prompts

    def add_prompt(self, fn: Function, **options: Unpack[PromptOptions]) -> Prompt:
        """Offer a function as a prompt; see `Prompt` for the options.

        Raises:
            DeclarationError: naming the function and the change to make. It is a ValueError.
        """
        prompt = Prompt(fn, self._injections, self._threads, **options)
        _add(self._prompts, prompt.name, prompt, "prompt")
        self._on_change(ListKind.PROMPTS)
        return prompt

    def remove_prompt(self, name: str) -> None:
        """Stop offering a prompt.

        Raises:
            ValueError: when there is none of this name.
        """
        if self._prompts.pop(name, None) is None:
            raise ValueError(f"there is no prompt {name!r}")
        self._on_change(ListKind.PROMPTS)

    def prompts(self) -> Sequence[types.Prompt]:
        """The prompts as clients see them."""
        return tuple(prompt.listed for prompt in self._prompts.values())

    async def get_prompt(
        self, name: str, arguments: Mapping[str, str] | None, context: Context
    ) -> GetPromptResult:
        """Fill in a prompt. Checkpoints only where the handler does.

        Raises:
            RpcError: -32602 for an unknown prompt, and for an argument that is missing, unknown or wrong; else as
                the table in `mcptrio.catalog.errors` says.
        """
        prompt = self._prompts.get(name)
        if prompt is None:
            raise RpcError.of(Failure.INVALID_PARAMS, f"Unknown prompt: {name[:200]}")
        return await prompt.get({} if arguments is None else arguments, context)

    # Completion

    def completions(self, *, prompt: str | None = None, template: str | None = None) -> Completions:
        """What completes the arguments of the prompt of this name or of the template of this text.

        Raises:
            ValueError: when there is none.
        """
        found = self._prompts.get(prompt or "") or self._templates.get(template or "")
        if found is None:
            raise ValueError(f"there is no prompt or template {prompt or template!r}")
        return found.completions

    @property
    def completes(self) -> bool:
        """Whether any argument of a prompt or template has completions."""
        offered: tuple[Prompt | Template, ...] = (*self._prompts.values(), *self._templates.values())
        return any(each.completions for each in offered)

    async def complete(self, params: CompleteParams, context: Context) -> Completion:
        """What an argument that is being typed may become. Checkpoints only where the declared function does.

        Raises:
            RpcError: -32602 for an unknown prompt, template or argument; else as `Completions.complete`.
        """
        ref = params.ref
        offered: Prompt | Template | None
        if isinstance(ref, PromptReference):
            offered = self._prompts.get(ref.name)
            unknown = f"Unknown prompt: {ref.name[:200]}"
        else:
            offered = self._templates.get(ref.uri) or self._template_of(ref.uri)[0]
            unknown = f"Unknown resource template: {ref.uri[:200]}"
        if offered is None:
            raise RpcError.of(Failure.INVALID_PARAMS, unknown)
        given = params.context.arguments if params.context else None
        return await offered.completions.complete(
            params.argument.name, params.argument.value, given or {}, context
        )

    def _tools_changed(self) -> None:
        self._listed_tools.clear()
        self._on_change(ListKind.TOOLS)

    def _handlers(self) -> list[Handler]:
        tables: tuple[Mapping[str, Tool | Resource | Template | Prompt], ...] = (
            self._tools,
            self._resources,
            self._templates,
            self._prompts,
        )
        return [entry.handler for table in tables for entry in table.values()]


def _add(table: dict[str, _Entry], key: str, entry: _Entry, kind: str) -> None:
    known = table.get(key)
    if known is not None:
        raise DeclarationError(
            f"the {kind} {key!r} is declared twice: by {known.handler.signature.function} and by "
            f"{entry.handler.signature.function}; give one another name or remove it"
        )
    table[key] = entry
