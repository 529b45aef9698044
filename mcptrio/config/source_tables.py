"""The `[[source]]` tables of a file: each one's kind and settings, and what no two of them may share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from mcptrio.config.importing import place, said
from mcptrio.config.kind import KEY, Kind
from mcptrio.config.kinds import Kinds
from mcptrio.config.path import Path
from mcptrio.config.shape import Fault, faults
from mcptrio.config.third_party import NoKind

_LISTENING = ("smtp",)
"""Built-in kinds that listen on a `host` and a `port`."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source to install: its kind, the word by which the file names it, and its settings."""

    kind: Kind
    word: str
    settings: Struct


class SourceTables:
    """Takes the tables in, one by one, in the order of the file."""

    def __init__(self) -> None:
        self.sources: list[Source] = []
        """Those that are right."""
        self.faults: list[Fault] = []
        self.doubts: list[Fault] = []
        """What may not be meant as it is written, and is valid."""
        self._kinds = Kinds()
        self._count = 0
        self._names: dict[str, int] = {}
        self._uris: dict[str, int] = {}
        self._ports: dict[tuple[object, object], int] = {}

    def add(self, table: Mapping[str, object]) -> None:
        """Take in the next table. Whatever is wrong with it is in `faults` then; never raises for it."""
        index = self._count
        here: Path = ("source", index)
        self._count += 1
        word = table.get(KEY)
        if word is None:
            known = ", ".join(f"`{each}`" for each in self._kinds.words())
            self._wrong((*here, KEY), f"is missing: say what the source is; known are {known}")
        elif not isinstance(word, str):
            self._wrong((*here, KEY), "expected text")
        else:
            try:
                kind = self._kinds.find(word)
            except NoKind as error:
                self._wrong((*here, KEY), str(error))
                return
            if doubt := self._kinds.shadowed(word):
                self.doubts.append(Fault((*here, KEY), doubt))
            settings = self._settings(kind, table, here)
            if settings is not None:
                self.sources.append(Source(kind, word, settings))
                self._check_uris(kind, settings, index)
                self._check_name(settings, index)
                if word in _LISTENING:
                    self._check_port(settings, index)

    def _settings(self, kind: Kind, table: Mapping[str, object], here: Path) -> Struct | None:
        own = kind.table(table)
        try:
            found = list(faults(own, kind.settings, here))
            self.faults += found
            return None if found else msgspec.convert(own, kind.settings)
        except Exception as error:
            if not kind.reference:
                raise
            self._wrong(here, f"the settings of {kind.reference} failed: {said(error)}{place(error)}")
            return None

    def _check_uris(self, kind: Kind, settings: Struct, index: int) -> None:
        offered = kind.uris(settings)
        for uri in offered:
            if uri in self._uris:
                key = "uri" if "uri" in settings.__struct_fields__ else KEY
                self._wrong(
                    ("source", index, key), f"`{uri}` is the uri of source[{self._uris[uri]}] already"
                )
                break
        self._uris = dict.fromkeys(offered, index) | self._uris

    def _check_name(self, settings: Struct, index: int) -> None:
        name = getattr(settings, "name", None)
        if name in self._names:
            message = f"`{name}` is the name of source[{self._names[name]}] already: give each its own"
            self._wrong(("source", index, "name"), message)
        elif isinstance(name, str):
            self._names[name] = index

    def _check_port(self, settings: Struct, index: int) -> None:
        host, port = getattr(settings, "host", None), getattr(settings, "port", 0)
        first = self._ports.setdefault((host, port), index)
        if port != 0 and first != index:
            message = (
                f"{port} is the port of source[{first}] too, so only one of them can listen: choose another"
            )
            self.doubts.append(Fault(("source", index, "port"), message))

    def _wrong(self, path: Path, message: str) -> None:
        self.faults.append(Fault(path, message))
