"""Puts a configuration together: a file, the environment and the command line's flags, each over the last."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath

import msgspec
from msgspec import Struct

from mcptrio.config.conflicts import conflicts, exposure, listening_conflicts
from mcptrio.config.kind import KEY
from mcptrio.config.lines import Lines
from mcptrio.config.overrides import Origin, Override, overrides
from mcptrio.config.path import Path, dotted, value_at
from mcptrio.config.problem import ConfigError, Problem
from mcptrio.config.settings import Document, ServerTable
from mcptrio.config.shape import Fault, faults, own_fault
from mcptrio.config.source_tables import Source, SourceTables
from mcptrio.sources.secret import Secret

MAX_BYTES = 1024 * 1024
"""Size up to which a file is read: a configuration is written by hand."""

_AT_LINE = re.compile(r"\(at line (?P<line>\d+), column \d+\)$")
"""Where tomllib says what is wrong, except at the end of a document."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One value with its place and its origin. The value may be a secret: mask it before it is shown."""

    path: Path
    value: object
    origin: Origin


class Config:
    """A valid configuration. Immutable."""

    def __init__(
        self,
        server: ServerTable,
        tables: SourceTables,
        document: _File,
        overridden: Mapping[Path, Override],
    ) -> None:
        self.server = server
        self.sources: tuple[Source, ...] = tuple(tables.sources)
        self._doubts = tuple(tables.doubts)
        self._file = document
        self._overridden = overridden

    def settings(self) -> Iterator[Setting]:
        """Every value in force and where it comes from, defaults included, in the order of the types."""
        for path, value in self._values():
            yield Setting(path, value, self.origin(path))

    def origin(self, path: Path) -> Origin:
        """Where the value in force at a path comes from."""
        override = self._overridden.get(path)
        return override.origin if override else self._file.origin(path)

    def problem(self, path: Path, message: str) -> Problem:
        """Something that was found wrong, or odd, with a value in force."""
        return Problem(": ".join(filter(None, (self.origin(path).where, dotted(path)))), message)

    def _values(self) -> Iterator[tuple[Path, object]]:
        yield from _leaves(self.server, ("server",))
        for index, source in enumerate(self.sources):
            yield ("source", index, KEY), source.word
            yield from _leaves(source.settings, ("source", index))

    def refusal(self, index: int, message: str) -> Problem:
        """What a source said when it was installed, with its line: that of the key if the message begins with one."""
        return self._file.problem(own_fault(message, self.sources[index].kind.settings, ("source", index)))

    def doubts(self) -> tuple[Problem, ...]:
        """What is valid and may not be what was meant: to be shown to people, and no reason to stop."""
        return tuple(map(self._file.problem, self._doubts))


class _File:
    """A parsed file, or none, which is as good as an empty one."""

    def __init__(self, path: FilePath | None) -> None:
        self.label = "" if path is None else str(path)
        text = "" if path is None else _read(path)
        self.document: dict[str, object] = _parse(text, self.label)
        self._lines = Lines(text)

    def origin(self, path: Path) -> Origin:
        """Where a value that no flag and no variable sets comes from."""
        if not value_at(self.document, path)[0]:
            return Origin("default")
        return Origin("file", self._place(path))

    def problem(self, fault: Fault) -> Problem:
        """A fault with the line it stands on; for what is missing, the line of its table."""
        path = fault.path
        while path and not value_at(self.document, path)[0]:
            path = path[:-1]
        where = ": ".join(filter(None, (self._place(path), dotted(fault.path))))
        return Problem(where, fault.message)

    def _place(self, path: Path) -> str:
        line = self._lines.find(path)
        return self.label if line is None else f"{self.label}:{line}"


def load(
    file: FilePath | None = None,
    *,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    listens: bool = True,
    tokens: bool = False,
) -> Config:
    """Read a configuration: defaults, over them the file, over it the environment, over it the flags.

    `flags` are by their names in `FLAGS`. Nothing but the file is read, and nothing is started. With `listens` an
    address that others reach wants the names they use, and tokens or `anonymous`; `tokens` is whether the App has
    some that the configuration says nothing of.

    A source of a third party is imported for its settings, so its module's code runs.

    Raises:
        ConfigError: with all problems at once; a file that cannot be read or parsed has only that one.
    """
    source = _File(file)
    document = source.document
    wrong = list(faults(document, Document))
    if isinstance(document.get("source"), dict):
        wrong = [
            Fault(each.path, f"{each.message}: write [[source]]") if each.path == ("source",) else each
            for each in wrong
        ]
    tables = SourceTables()
    if not any(each.path[:1] == ("source",) for each in wrong):
        for table in msgspec.convert(document.get("source", []), list[dict[str, object]]):
            tables.add(table)
        wrong += tables.faults
    overridden, problems = overrides(environ or {}, flags or {})
    if wrong or problems:
        raise ConfigError(*map(source.problem, wrong), *problems)
    merged: dict[str, object] = msgspec.to_builtins(document.get("server", {}))
    for (_, *inner), override in overridden.items():
        _put(merged, inner, override.value)
    config = Config(msgspec.convert(merged, ServerTable), tables, source, overridden)
    server = config.server
    wrong_together = list(conflicts(server))
    if listens:
        wrong_together += listening_conflicts(server, lambda key: config.origin(("server", key)))
        wrong_together += exposure(server, tokens=tokens or server.tokens is not None)
    if wrong_together:
        raise ConfigError(*(config.problem(("server", key), message) for key, message in wrong_together))
    return config


def _read(path: FilePath) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(Problem(str(path), "there is no such file")) from None
    except OSError as error:
        raise ConfigError(Problem(str(path), f"cannot be read: {error.strerror}")) from None
    if len(data) > MAX_BYTES:
        raise ConfigError(Problem(str(path), f"is longer than {MAX_BYTES} bytes: is it a configuration?"))
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(Problem(f"{path}:{line}", "is not UTF-8: save the file as UTF-8")) from None


def _parse(text: str, label: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        told = str(error)
        found = _AT_LINE.search(told)
        line = found["line"] if found else str(text.count("\n") + 1)  # else it is at the end of the document
        raise ConfigError(Problem(f"{label}:{line}", f"is not valid TOML: {told}")) from None
    except RecursionError:
        raise ConfigError(Problem(label, "is nested too deeply")) from None


def _put(table: dict[str, object], path: list[str | int], value: object) -> None:
    *tables, last = (str(step) for step in path)
    for step in tables:
        inner = table.setdefault(step, {})
        assert isinstance(inner, dict), "the file was checked against the same type"
        table = inner
    table[last] = value


def _leaves(value: Struct, path: Path) -> Iterator[tuple[Path, object]]:
    for each in msgspec.structs.fields(value):
        inner = getattr(value, each.name)
        here = (*path, each.encode_name)
        if isinstance(inner, Struct) and not isinstance(inner, Secret):
            yield from _leaves(inner, here)
        else:
            yield here, inner
