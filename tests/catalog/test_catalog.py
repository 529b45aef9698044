"""The catalog as a whole: names, changes, injection, and what it tells of changes."""

from __future__ import annotations

import importlib

import pytest

import mcptrio.catalog
from mcptrio.catalog import Catalog, Context, DeclarationError, ListKind
from mcptrio.protocol import Revision


class Pool: ...


def first() -> None: ...


def second() -> None: ...


async def item(id: str) -> str:
    return id


def test_every_change_is_told_once_with_its_kind() -> None:
    kinds: list[ListKind] = []
    catalog = Catalog(on_change=kinds.append)
    catalog.add_tool(first)
    catalog.add_resource("x://1", first)
    catalog.add_template("x://{id}", item)
    catalog.set_list("x://{id}", first)
    catalog.add_prompt(first)
    catalog.remove_tool("first")
    catalog.remove_resource("x://1")
    catalog.remove_resource("x://{id}")
    catalog.remove_prompt("first")
    tools, resources, prompts = ListKind.TOOLS, ListKind.RESOURCES, ListKind.PROMPTS
    assert kinds == [tools, *[resources] * 3, prompts, tools, *[resources] * 2, prompts]
    assert [kind.value for kind in ListKind] == ["tools", "resources", "prompts"]


def test_refused_declarations_change_nothing() -> None:
    kinds: list[ListKind] = []
    catalog = Catalog(on_change=kinds.append)
    for add in (
        lambda: catalog.add_tool(lambda x: x, name="t"),
        lambda: catalog.add_resource("nowhere", first),
        lambda: catalog.add_template("x://{id}", item, list=item),
        lambda: catalog.add_prompt(lambda x: x, name="p"),
    ):
        with pytest.raises(DeclarationError):
            add()
    assert kinds == []
    assert not catalog.tools(Revision.MODERN)
    assert not catalog.templates()
    assert not catalog.prompts()
    assert not catalog.could_serve("x://1")


def test_a_name_that_is_taken_is_refused_naming_both() -> None:
    catalog = Catalog()
    catalog.add_tool(first, name="t")
    catalog.add_prompt(first, name="p")
    catalog.add_resource("x://1", first)
    catalog.add_template("x://{id}", item)
    for add in (
        lambda: catalog.add_tool(second, name="t"),
        lambda: catalog.add_prompt(second, name="p"),
        lambda: catalog.add_resource("x://1", second),
    ):
        with pytest.raises(ValueError, match=r"declared twice: by \S+first and by \S+second"):
            add()
    with pytest.raises(ValueError, match=r"template 'x://\{id\}' is declared twice"):
        catalog.add_template("x://{id}", item)


def test_what_is_not_there_cannot_be_removed() -> None:
    catalog = Catalog()
    for remove in (catalog.remove_tool, catalog.remove_resource, catalog.remove_prompt):
        with pytest.raises(ValueError, match="there is no"):
            remove("x")


def test_tools_are_listed_in_order_and_anew_after_a_change() -> None:
    catalog = Catalog()
    catalog.add_tool(second)
    catalog.add_tool(first)
    listed = catalog.tools(Revision.MODERN)
    assert [tool.name for tool in listed] == ["second", "first"]
    assert catalog.tools(Revision.MODERN) is listed
    catalog.remove_tool("second")
    assert [tool.name for tool in catalog.tools(Revision.MODERN)] == ["first"]
    catalog.add_tool(second)
    assert [tool.name for tool in catalog.tools(Revision.LEGACY)] == ["first", "second"]


def test_a_type_declared_after_the_handler_that_wants_it_is_refused() -> None:
    class Late:
        pass

    def tool(settings: dict[str, str]) -> None: ...

    catalog = Catalog()
    catalog.add_tool(tool)
    with pytest.raises(DeclarationError, match=r"tool: `settings` was taken for an argument.*before"):
        catalog.declare(dict[str, str])
    catalog.declare(Late)


def test_only_declared_types_are_provided() -> None:
    catalog = Catalog()
    with pytest.raises(ValueError, match="not declared"):
        catalog.provide(Pool, Pool())
    catalog.declare(Pool)
    catalog.declare(Pool)
    catalog.provide(Pool, Pool())
    catalog.withdraw(Pool)
    catalog.withdraw(Pool)


@pytest.mark.parametrize("type_", [str, int, dict, object, Context])
def test_types_that_arguments_have_cannot_be_injected(type_: object) -> None:
    with pytest.raises(ValueError, match="injected"):
        Catalog().declare(type_)


def test_every_public_name_is_there() -> None:
    module = importlib.reload(mcptrio.catalog)
    assert all(hasattr(module, name) for name in module.__all__)
    assert sorted(module.__all__) == list(module.__all__)
