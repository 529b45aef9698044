"""`mcptrio inspect`: who a server is and what it offers."""

from __future__ import annotations

import io
import shutil
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import msgspec
import trio
from msgspec import Struct, UnsetType
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mcptrio.cli.arguments import types_of
from mcptrio.cli.exits import Exit
from mcptrio.cli.output import Output
from mcptrio.cli.remote import Remote
from mcptrio.client import RpcError
from mcptrio.masking import printable
from mcptrio.protocol import Failure
from mcptrio.protocol.types import Implementation, Object, Prompt, Resource, ResourceTemplate, Tool

T = TypeVar("T")


class Inspection(Struct, rename="camel", omit_defaults=True, kw_only=True):
    """All that a server says of itself; lists that it does not offer are None."""

    url: str
    revision: str
    server: Implementation | None
    instructions: str | None = None
    capabilities: Object
    tools: list[Tool] | None = None
    resources: list[Resource] | None = None
    resource_templates: list[ResourceTemplate] | None = None
    prompts: list[Prompt] | None = None


async def inspect(remote: Remote, output: Output, *, as_json: bool = False) -> int:
    """Ask a server for everything it offers, and write it down.

    Raises:
        UserError: the server cannot be asked.
    """
    async with remote.client() as client:
        found = Inspection(
            url=remote.url,
            revision=client.revision,
            server=client.server_info,
            instructions=client.instructions,
            capabilities=client.capabilities,
            tools=await _offered(client.list_tools),
            resources=await _offered(client.list_resources),
            resource_templates=await _offered(client.list_resource_templates),
            prompts=await _offered(client.list_prompts),
        )
    if as_json:
        await output.line(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        await output.write(drawn(found, color=output.isatty()).encode())
    return Exit.OK


async def _offered(fetch: Callable[[], Awaitable[list[T]]]) -> list[T] | None:
    """A list; None from a server that does not have the method."""
    try:
        return await fetch()
    except RpcError as error:
        if error.code != Failure.METHOD_NOT_FOUND.legacy:
            raise
        await trio.lowlevel.checkpoint()
        return None


def drawn(found: Inspection, *, color: bool, width: int | None = None) -> str:
    """The inspection for people, as wide as the terminal."""
    columns = width or shutil.get_terminal_size((100, 24)).columns
    console = Console(file=io.StringIO(), force_terminal=color, width=columns, highlight=False)
    server = found.server
    name = "a server that does not say its name" if server is None else f"{server.name} {server.version}"
    console.print(Text(_shown(name), style="bold"))
    console.print(Text(f"{found.url}  revision {found.revision}"))
    if found.instructions:
        console.print(Text(_shown(found.instructions), style="italic"))
    console.print(Text(f"capabilities: {_shown(_capabilities(found.capabilities))}"), soft_wrap=True)
    _table(console, "tools", ("name", "arguments", "description"), found.tools, _tool_row)
    _table(console, "resources", ("uri", "type", "description"), found.resources, _resource_row)
    _table(
        console, "resource templates", ("uri", "type", "description"), found.resource_templates, _template_row
    )
    _table(console, "prompts", ("name", "arguments", "description"), found.prompts, _prompt_row)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _table(
    console: Console,
    title: str,
    columns: tuple[str, str, str],
    items: list[T] | None,
    row: Callable[[T], Iterable[str]],
) -> None:
    console.print()
    if not items:
        console.print(Text(f"{title}: {'not offered' if items is None else 'none'}"))
        return
    table = Table(title=f"{title} ({len(items)})", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for heading in columns:
        table.add_column(heading, overflow="fold")
    for item in items:
        table.add_row(*(Text(_shown(cell)) for cell in row(item)))
    console.print(table)


def _tool_row(tool: Tool) -> Iterable[str]:
    return tool.name, _arguments(tool.input_schema), _described(tool.title, tool.description)


def _resource_row(resource: Resource) -> Iterable[str]:
    return resource.uri, resource.mime_type or "", _described(resource.title, resource.description)


def _template_row(template: ResourceTemplate) -> Iterable[str]:
    return template.uri_template, template.mime_type or "", _described(template.title, template.description)


def _prompt_row(prompt: Prompt) -> Iterable[str]:
    arguments = prompt.arguments or []
    names = "\n".join(each.name if each.required else f"[{each.name}]" for each in arguments)
    return prompt.name, names, _described(prompt.title, prompt.description)


def _arguments(schema: Object) -> str:
    """One argument a line, in brackets where it may be left out: `city: string`, `[days: integer = 1]`."""
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict):
        return ""
    lines = []
    for name, each in properties.items():
        types = "|".join(sorted(types_of(each, schema)))
        line = f"{name}: {types}" if types else f"{name}"
        if isinstance(each, dict) and each.get("default") is not None:
            line += f" = {msgspec.json.encode(each['default']).decode()}"
        lines.append(line if isinstance(required, list) and name in required else f"[{line}]")
    return "\n".join(lines)


def _capabilities(capabilities: Object) -> str:
    """Names, with what is said about them in parentheses: `resources (listChanged, subscribe)`."""
    shown = []
    for name, details in sorted(capabilities.items()):
        flags = sorted(key for key, value in details.items() if value) if isinstance(details, dict) else []
        shown.append(f"{name} ({', '.join(flags)})" if flags else name)
    return ", ".join(shown) or "none"


def _described(title: str | UnsetType, description: str | UnsetType) -> str:
    """The first paragraph of the description, or else the title."""
    text = description if isinstance(description, str) else title
    return " ".join(text.split("\n\n")[0].split()) if isinstance(text, str) else ""


def _shown(text: str) -> str:
    """A server's text, unable to steer the terminal."""
    return printable(text)
