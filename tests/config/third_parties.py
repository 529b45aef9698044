"""Modules and packages of third parties, written for a test and forgotten behind it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcptrio.catalog import Catalog
from mcptrio.config import ConfigError, load
from mcptrio.sources import Registry

PREFIX = "wx_"
"""How the names of such modules begin."""

GOOD = """\
from msgspec import Struct
from mcptrio import Feed, Registry

class Settings(Struct):
    name: str
    size: int = 1

def install(registry: Registry, settings: Settings) -> None:
    async def run(feed: Feed) -> None:
        feed.live()

    registry.add_source(settings.name, run)
"""


class Workplace:
    """A working directory of its own, with a configuration, and beside it a place where packages are installed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.site = path / "site"

    def module(self, name: str, text: str) -> None:
        """A module in the working directory; dots make packages."""
        assert name.startswith(PREFIX)
        self._write(self.path, name, text)

    def package(self, name: str, module: str, text: str, **words: str) -> None:
        """An installed package: a module, and entry points by their words."""
        if text:
            self._write(self.site, module, text)
        about = self.site / f"{name}-1.0.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = "".join(f"{word} = {value}\n" for word, value in words.items())
        (about / "entry_points.txt").write_text(f"[mcptrio.sources]\n{lines}")

    def config(self, text: str) -> Path:
        """The configuration `mcptrio.toml`."""
        file = Path("mcptrio.toml")
        file.write_text(text)
        return file

    @staticmethod
    def _write(root: Path, name: str, text: str) -> None:
        file = root.joinpath(*name.split(".")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def forgetting_workplace(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    """The body of a fixture: the working directory is `path`, and what was imported from there is forgotten."""
    before = set(sys.modules)
    place = Workplace(path)
    monkeypatch.chdir(path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", [str(place.site), *sys.path])
    yield place
    for name in set(sys.modules) - before:
        if name.startswith(PREFIX):
            del sys.modules[name]


def source(kind: str, more: str = "") -> str:
    """A `[[source]]` that is called mine, whose kind is on its third line."""
    return f'\n[[source]]\nkind = "{kind}"\nname = "mine"\n{more}\n'


def problems(file: Path) -> list[str]:
    """All that is wrong with a configuration."""
    with pytest.raises(ConfigError) as caught:
        load(file)
    return [str(each) for each in caught.value.problems]


def installed(file: Path) -> Registry:
    """A registry with the sources of a configuration."""
    registry = Registry(Catalog())
    for each in load(file).sources:
        each.kind.install(registry, each.settings)
    return registry
