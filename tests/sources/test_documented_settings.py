"""docs/sources.md: its tables have every key of every built-in kind as the settings have it, and its examples hold."""

from __future__ import annotations

import ast
import json
import re
import types
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, Union, get_args, get_origin

import msgspec
import pytest
import trio
from msgspec import NODEFAULT, Struct

from mcptrio import App
from mcptrio.catalog import Catalog
from mcptrio.config import KINDS, load
from mcptrio.sources import Registry, Secret

PAGE = (Path(__file__).parents[2] / "docs" / "sources.md").read_text()

Rows = dict[str, tuple[str, str]]
"""By key: the type, and the default."""

PLAIN: dict[object, str] = {
    str: "text",
    bool: "true or false",
    int: "whole number",
    float: "number",
    Secret: "secret",
    object: "value",
}


def type_words(wanted: object) -> str:
    """How a type is called in the tables."""
    if get_origin(wanted) is Annotated:
        wanted = get_args(wanted)[0]
    if wanted in PLAIN:
        return PLAIN[wanted]
    if isinstance(wanted, type) and issubclass(wanted, Struct):
        return "table"
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin is Literal:
        return ", ".join(f"`{each}`" for each in arguments)
    if origin in (Union, types.UnionType):
        members = [each for each in arguments if each is not type(None)]
        return "duration" if set(members) == {str, float} else " or ".join(map(type_words, members))
    if origin is list:
        return "list of " + " or ".join(f"{each}s" for each in type_words(arguments[0]).split(" or "))
    assert origin is dict, f"the tables have no word for {wanted}"
    if arguments[1] is object:
        return "table"
    return "table of " + " or ".join(f"{each}s" for each in type_words(arguments[1]).split(" or "))


def toml(value: object) -> str:
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{key} = {toml(each)}" for key, each in value.items()) + " }" if value else "{}"
        )
    return json.dumps(value)


def rows_of(settings: type[Struct]) -> Rows:
    """What the table of these settings is to hold."""
    found = {}
    for each in msgspec.structs.fields(settings):
        default = each.default if each.default_factory is NODEFAULT else each.default_factory()
        shown = "required" if default is NODEFAULT else "none" if default is None else f"`{toml(default)}`"
        found[each.encode_name] = (type_words(each.type), shown)
    return found


def tables_in(section: str) -> Rows:
    rows = re.findall(r"^\| `([a-z_]+)` \| (.+?) \| (.+?) \| \S.*\|$", section, re.MULTILINE)
    return {key: (kind, default) for key, kind, default in rows}


def section_of(heading: str) -> str:
    """The text below a heading, to the next one of any depth."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/sources.md has no section {heading}: write its table"
    return re.sub(r"^```.*?^```", "", found[1], flags=re.MULTILINE | re.DOTALL)


DOCUMENTED = re.findall(r'^### `kind = "(\w+)"`$', PAGE, re.MULTILINE)


def settings_of(word: str) -> type[Struct]:
    """The settings of a kind; of one that is not in the table of kinds yet, those of its folder."""
    if word in KINDS:
        return KINDS[word]().settings
    module = import_module(f"mcptrio.sources.{word}")
    [found] = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Struct) and each.__struct_config__.tag == word
    ]
    return found


def nested(settings: type[Struct]) -> dict[str, type[Struct]]:
    """The settings that stand in tables of their own, such as `[[source.route]]`, by their headings."""
    found = {}
    for each in msgspec.structs.fields(settings):
        for member in (each.type, *get_args(each.type)):
            if isinstance(member, type) and issubclass(member, Struct) and member is not Secret:
                dotted = f"source.{each.encode_name}"
                found[f"`[[{dotted}]]`" if get_origin(each.type) is list else f"`[{dotted}]`"] = member
    return found


def test_every_built_in_kind_is_documented() -> None:
    missing = sorted(KINDS.keys() - set(DOCUMENTED))
    assert not missing, f"docs/sources.md has no table of {', '.join(missing)}"


@pytest.mark.parametrize("word", DOCUMENTED)
def test_the_tables_of_a_kind_have_its_keys_types_and_defaults(word: str) -> None:
    if word not in KINDS and find_spec(f"mcptrio.sources.{word}") is None:
        pytest.fail(f"docs/sources.md documents {word}, which is not there")
    settings = settings_of(word)
    assert tables_in(section_of(f'`kind = "{word}"`')) == rows_of(settings)
    for heading, inner in nested(settings).items():
        assert tables_in(section_of(heading)) == rows_of(inner)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    "block", [each for each in blocks("toml") if set(re.findall(r'^kind = "(\w+)"', each, re.M)) & {*KINDS}]
)
def test_the_examples_of_built_in_kinds_can_be_installed(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "secret")
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "mcptrio.toml"
    file.write_text(block)
    registry = Registry(Catalog())
    for source in load(file).sources:
        source.kind.install(registry, source.settings)
    assert registry.sources()


@pytest.mark.parametrize("block", blocks("python"))
def test_every_python_example_can_be_compiled(block: str) -> None:
    compile(block, "sources.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


async def test_the_test_of_the_tutorial_passes(tmp_path: Path) -> None:
    names: dict[str, object] = {"App": App}
    tutorial, shown = blocks("python")[0], blocks("python")[-1]
    exec(compile(tutorial, "tides.py", "exec"), names)
    exec(compile(shown, "sources.md", "exec"), names)
    test = names["test_a_line_is_told"]
    assert callable(test)
    with trio.fail_after(30):
        await test(tmp_path)


def test_the_names_to_import_are_exported() -> None:
    rows = re.findall(r"^\| `([a-z.]+)` \| (.+) \|$", section_of("Names to import"), re.MULTILINE)
    assert len(rows) == 4
    for room, names in rows:
        assert set(re.findall(r"`(\w+)`", names)) <= set(import_module(room).__all__), room


def test_what_a_source_is_written_with_is_exported() -> None:
    for block in blocks("python"):
        for node in ast.parse(block).body:
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("mcptrio"):
                exported = import_module(node.module).__all__
                assert {each.name for each in node.names} <= set(exported), node.module
