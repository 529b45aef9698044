"""A kind of source that somebody else brings, named by its module: it is found, or told what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from mcptrio.config import dotted, load
from tests.config.third_parties import GOOD, Workplace, forgetting_workplace, installed, problems, source


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    yield from forgetting_workplace(tmp_path, monkeypatch)


# What is found.


@pytest.mark.parametrize("module", ["wx_mine", "wx_pack.deep.mine"])
def test_a_source_is_found_by_its_module_in_the_working_directory(workplace: Workplace, module: str) -> None:
    workplace.module(module, GOOD)
    file = workplace.config(source(f"{module}:install", "size = 3"))
    [found] = load(file).sources
    assert (found.word, found.kind.reference) == (f"{module}:install", f"{module}:install")
    assert msgspec.structs.asdict(found.settings) == {"name": "mine", "size": 3}
    assert [each.name for each in installed(file).sources()] == ["mine"]


def test_every_value_says_where_it_comes_from_and_so_does_the_kind(workplace: Workplace) -> None:
    workplace.module("wx_mine", GOOD)
    values = load(workplace.config(source("wx_mine:install"))).settings()
    shown = {dotted(each.path): (each.value, str(each.origin)) for each in values}
    assert shown["source[0].kind"] == ("wx_mine:install", "file mcptrio.toml:3")
    assert shown["source[0].name"] == ("mine", "file mcptrio.toml:4")
    assert shown["source[0].size"] == (1, "default")


CALLABLES = """
import functools

class Gauge:
    def __init__(self, registry: Registry, settings: Settings) -> None:
        install(registry, settings)

    @staticmethod
    def make(registry: Registry, settings: "Settings", linger: float = 1.0) -> None:
        install(registry, settings)

class Called:
    def __call__(self, registry: Registry, settings: Settings) -> None:
        install(registry, settings)

called = Called()
bound = called.__call__

def more(where: str, registry: Registry, settings: "Settings", **rest: object) -> None:
    install(registry, settings)

partial = functools.partial(more, "here")

@functools.wraps(install)
def wrapped(*args, **kwargs):
    return install(*args, **kwargs)
"""


@pytest.mark.parametrize("name", ["install", "Gauge", "Gauge.make", "called", "bound", "partial", "wrapped"])
@pytest.mark.parametrize("lazily", ["", "from __future__ import annotations\n"])
def test_whatever_can_be_called_installs(workplace: Workplace, name: str, lazily: str) -> None:
    workplace.module("wx_mine", lazily + GOOD + CALLABLES)
    assert [each.name for each in installed(workplace.config(source(f"wx_mine:{name}"))).sources()] == [
        "mine"
    ]


def test_only_the_annotation_of_the_settings_has_to_be_there_at_run_time(workplace: Workplace) -> None:
    text = (
        "from __future__ import annotations\nfrom typing import TYPE_CHECKING\nfrom msgspec import Struct\n"
        "if TYPE_CHECKING:\n    from mcptrio import Registry\n"
        "class Settings(Struct):\n    name: str\n"
        "def install(registry: Registry, settings: Settings) -> None: ...\n"
    )
    workplace.module("wx_mine", text)
    assert len(load(workplace.config(source("wx_mine:install"))).sources) == 1


@pytest.mark.parametrize(
    "options", ["", "forbid_unknown_fields=True", 'tag_field="kind", tag="gauge", forbid_unknown_fields=True']
)
def test_the_kind_is_no_setting_unless_it_is_the_tag(workplace: Workplace, options: str) -> None:
    workplace.module("wx_mine", GOOD.replace("(Struct)", f"(Struct, {options})"))
    file = workplace.config(source("wx_mine:install"))
    [found] = load(file).sources
    assert found.settings.__struct_fields__ == ("name", "size")
    assert problems(workplace.config(source("wx_mine:install", "sice = 2"))) == [
        "mcptrio.toml:5: source[0].sice: unknown key; did you mean `size`?"
    ]


def test_an_installed_package_brings_tools_prompts_and_resources_too(workplace: Workplace) -> None:
    text = GOOD + (
        "    catalog = registry.catalog\n"
        "    catalog.add_resource('wx://one', lambda: 'one', name='one')\n"
        "    async def item(id: str) -> str: return id\n"
        "    catalog.add_template('wx://items/{id}', item, list=lambda: ['1'])\n"
        "    async def measure(value: float) -> float: return value\n"
        "    catalog.add_tool(measure)\n"
        "    async def report(topic: str) -> str: return topic\n"
        "    catalog.add_prompt(report)\n"
    )
    workplace.module("wx_mine", text)
    catalog = installed(workplace.config(source("wx_mine:install"))).catalog
    assert catalog.could_serve("wx://one")
    assert catalog.could_serve("wx://items/5")
    assert [each.name for each in catalog.prompts()] == ["report"]


# What is wrong.

NO_STRUCT = "annotate it with the msgspec.Struct of its settings, such as `settings: Settings`"


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        (
            GOOD,
            "wx_none:install",
            "there is no module wx_none: install its package, start mcptrio where wx_none.py is, or set PYTHONPATH",
        ),
        (GOOD, "wx_none.deep:install", "there is no module wx_none: install its package, start"),
        (
            "import wx_needed",
            "wx_mine:install",
            "wx_mine needs the module wx_needed, which is not installed ({place}/wx_mine.py, line 1)",
        ),
        ("x = ", "wx_mine:install", "{place}/wx_mine.py:1: invalid syntax"),
        (
            "1 / 0",
            "wx_mine:install",
            "wx_mine failed while it was imported: ZeroDivisionError: division by zero ({place}/wx_mine.py, line 1)",
        ),
        (
            "raise SystemExit(3)",
            "wx_mine:install",
            "wx_mine ended the program while it was imported: SystemExit(3)",
        ),
        (GOOD, "wx_mine:instal", "wx_mine has no `instal`; did you mean `install`?"),
        (GOOD, "wx_mine:other", "wx_mine has no `other`; known are `install`"),
        ("", "wx_mine:other", "wx_mine has no `other`: write its `def install(registry, settings)`"),
        (GOOD, "wx_mine:install.more", "wx_mine has no `install.more`"),
        (
            "install = 5",
            "wx_mine:install",
            "wx_mine:install is of type int and cannot be called: name a function `def install(registry, settings)`",
        ),
        (
            GOOD.replace("\ndef install", "\nasync def install"),
            "wx_mine:install",
            "wx_mine:install is async: it is called before anything runs, so make it a plain `def`",
        ),
        (
            GOOD + "class Called:\n    async def __call__(self, registry, settings): ...\ncalled = Called()",
            "wx_mine:called",
            "wx_mine:called is async: ",
        ),
        (
            "def install(registry): ...",
            "wx_mine:install",
            "wx_mine:install is called with a registry and its settings, but takes (registry)",
        ),
        (
            GOOD + "def three(registry: Registry, settings: Settings, more: int): ...",
            "wx_mine:three",
            "wx_mine:three is called with a registry and its settings, but takes (registry, settings, more)",
        ),
        (
            "def install(registry, *, settings): ...",
            "wx_mine:install",
            "wx_mine:install is called with a registry and its settings, but takes (registry, settings)",
        ),
        (
            "install = type",
            "wx_mine:install",
            "wx_mine:install does not show its parameters: name a function of Python",
        ),
        (
            "def install(registry, settings): ...",
            "wx_mine:install",
            f"the parameter `settings` of wx_mine:install has no annotation: {NO_STRUCT}",
        ),
        (
            "def install(registry, settings: dict): ...",
            "wx_mine:install",
            f"the parameter `settings` of wx_mine:install is a dict, and no msgspec.Struct: {NO_STRUCT}",
        ),
        (
            "def install(registry, settings: int | str): ...",
            "wx_mine:install",
            "the parameter `settings` of wx_mine:install is a int | str, and no msgspec.Struct",
        ),
        (
            "def install(registry, settings: 'Nowhere'): ...",
            "wx_mine:install",
            "the annotation of `settings` of wx_mine:install cannot be resolved (NameError: name 'Nowhere' is not defined): "
            "the Struct of its settings must be in its module when it is imported, not in a function nor under TYPE_CHECKING",
        ),
        (
            GOOD.replace("    name: str\n", ""),
            "wx_mine:install",
            "wx_mine.Settings has no `name`: add `name: str`, by which people tell sources apart",
        ),
        (
            GOOD.replace("    name: str\n", "    name: int\n"),
            "wx_mine:install",
            "the `name` of wx_mine.Settings must be text: write `name: str`",
        ),
        (
            GOOD.replace("    size", "    kind: str = ''\n    size"),
            "wx_mine:install",
            "wx_mine.Settings has a field `kind`, but that key names the kind: call the field otherwise",
        ),
        (
            GOOD.replace("(Struct)", "(Struct, array_like=True)"),
            "wx_mine:install",
            "wx_mine.Settings is array_like, but settings are a table: leave array_like out",
        ),
        (
            GOOD.replace("size: int", "size: 'Nowhere'"),
            "wx_mine:install",
            "wx_mine.Settings cannot be read from a file: NameError: name 'Nowhere' is not defined",
        ),
        (GOOD, "wx_mine:", "`wx_mine:` names no install function: write `package.module:name`"),
        (GOOD, ":install", "`:install` names no install function: write `package.module:name`"),
        (GOOD, "wx-mine:install", "`wx-mine:install` names no install function: write `package.module:name`"),
        (GOOD, "a:b:c", "`a:b:c` names no install function: write `package.module:name`"),
        (
            GOOD,
            "wx_mine.deep",
            "there is no kind `wx_mine.deep`: name what installs it, too, such as `wx_mine.deep:install`",
        ),
    ],
)
def test_what_cannot_be_a_source_is_told_with_its_line_and_the_fix(
    workplace: Workplace, text: str, kind: str, told: str
) -> None:
    workplace.module("wx_mine", text)
    [problem] = problems(workplace.config(source(kind)))
    assert problem.startswith(
        "mcptrio.toml:3: source[0].kind: " + told.replace("{place}", str(workplace.path))
    )


def test_an_error_of_somebody_s_module_shows_no_secret(workplace: Workplace) -> None:
    workplace.module("wx_mine", "raise ValueError('password=hunter2')")
    [problem] = problems(workplace.config(source("wx_mine:install")))
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("size = 'big'", "mcptrio.toml:5: source[0].size: expected a whole number, got text"),
        ("size = -1", "mcptrio.toml:5: source[0].size: is below 0"),
        ("size = 7", "mcptrio.toml:2: source[0]: seven is none"),
        (
            "size = 8",
            "mcptrio.toml:2: source[0]: the settings of wx_mine:install failed: LookupError: eight ({place}, line 11)",
        ),
    ],
)
def test_wrong_settings_are_told_as_those_of_a_built_in_kind(
    workplace: Workplace, more: str, told: str
) -> None:
    check = (
        "    size: int = 1\n"
        "    def __post_init__(self):\n"
        "        if self.size < 0: raise ValueError('`size` is below 0')\n"
        "        if self.size == 7: raise ValueError('seven is none')\n"
        "        if self.size == 8:\n"
        "            raise LookupError('eight')\n"
    )
    workplace.module("wx_mine", GOOD.replace("    size: int = 1\n", check))
    found = problems(workplace.config(source("wx_mine:install", more)))
    assert found == [told.replace("{place}", str(workplace.path / "wx_mine.py"))]


def test_all_that_is_wrong_with_several_sources_is_told_at_once(workplace: Workplace) -> None:
    workplace.module("wx_mine", GOOD)
    text = source("wx_none:install") + source("wx_mine:install") + source("wx_mine:install", "size = 'x'")
    assert [each.partition(": ")[0] for each in problems(workplace.config(text))] == [
        "mcptrio.toml:3",
        "mcptrio.toml:15",
    ]
    assert problems(workplace.config(source("wx_mine:install") + source("email_mock"))) == [
        "mcptrio.toml:9: source[1].name: `mine` is the name of source[0] already: give each its own"
    ]


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        ("ValueError('`size` does not suit')", "`size` does not suit"),
        ("ValueError('no such gauge, password=hunter2')", "no such gauge, password=***"),
        ("ValueError()", "wx_mine:install refuses its settings ({place}, line 9)"),
        ("KeyError('x')", "wx_mine:install failed: KeyError: 'x' ({place}, line 9)"),
        ("SystemExit(3)", "wx_mine:install ended the program: SystemExit(3) ({place}, line 9)"),
    ],
)
def test_whatever_an_install_function_raises_is_a_refusal_in_words(
    workplace: Workplace, raised: str, told: str
) -> None:
    text = GOOD[: GOOD.index("    async def run")] + f"    raise {raised}\n"
    workplace.module("wx_mine", text)
    with pytest.raises(ValueError) as caught:
        installed(workplace.config(source("wx_mine:install")))
    assert str(caught.value) == told.replace("{place}", str(workplace.path / "wx_mine.py"))


def test_a_refusal_has_the_line_of_the_key_that_it_begins_with(workplace: Workplace) -> None:
    workplace.module("wx_mine", GOOD)
    config = load(workplace.config(source("wx_mine:install", "size = 2")))
    for message in ("`size`: is too big", "`size` is too big"):
        assert str(config.refusal(0, message)) == "mcptrio.toml:5: source[0].size: is too big"
    assert str(config.refusal(0, "it does not suit")) == "mcptrio.toml:2: source[0]: it does not suit"
