"""Puts a configuration together: a file, the environment and the command line's flags, each over the last."""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath

import msgspec
from msgspec import Struct

from mcptrio.config.kinds import KINDS, Kind
from mcptrio.config.lines import Lines
from mcptrio.config.overrides import Origin, Override, overrides
from mcptrio.config.path import Path, dotted, value_at
from mcptrio.config.problem import ConfigError, Problem
from mcptrio.config.settings import Document, ServerTable
from mcptrio.config.shape import Fault, faults, proposal
from mcptrio.sources.secret import Secret

MAX_BYTES = 1024 * 1024
"""Size up to which a file is read: a configuration is written by hand."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source to install: its kind and its settings."""

    kind: Kind
    settings: Struct


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
        sources: tuple[Source, ...],
        document: _File,
        overridden: Mapping[Path, Override],
    ) -> None:
        self.server = server
        self.sources = sources
        self._file = document
        self._overridden = overridden

    def settings(self) -> Iterator[Setting]:
        """Every value in force and where it comes from, defaults included, in the order of the types."""
        roots: list[tuple[Path, Struct]] = [(("server",), self.server)]
        roots += [(("source", index), source.settings) for index, source in enumerate(self.sources)]
        for root, table in roots:
            for path, value in _leaves(table, root):
                override = self._overridden.get(path)
                yield Setting(path, value, override.origin if override else self._file.origin(path))

    def problem(self, path: Path, message: str) -> Problem:
        """Something wrong with what is at this path, with its line in the file."""
        return self._file.problem(Fault(path, message))


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
) -> Config:
    """Read a configuration: defaults, over them the file, over it the environment, over it the flags.

    `flags` are by their names in `FLAGS`. Nothing but the file is read, and nothing is started.

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
    tables: list[dict[str, object]] = []
    if not any(each.path[:1] == ("source",) for each in wrong):
        tables = msgspec.convert(document.get("source", []), list[dict[str, object]])
        wrong += _source_faults(tables)
    overridden, problems = overrides(environ or {}, flags or {})
    if wrong or problems:
        raise ConfigError(*map(source.problem, wrong), *problems)
    merged: dict[str, object] = msgspec.to_builtins(document.get("server", {}))
    for (_, *inner), override in overridden.items():
        _put(merged, inner, override.value)
    sources = tuple(map(_source, tables))
    config = Config(msgspec.convert(merged, ServerTable), sources, source, overridden)
    if open_bind := _open_bind(config):
        raise ConfigError(open_bind)
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
        raise ConfigError(Problem(label, f"is not valid TOML: {error}")) from None
    except RecursionError:
        raise ConfigError(Problem(label, "is nested too deeply")) from None


def _source_faults(tables: list[dict[str, object]]) -> Iterator[Fault]:
    names: dict[str, int] = {}
    uris: dict[str, int] = {}
    for index, table in enumerate(tables):
        here: Path = ("source", index)
        word = table.get("kind")
        if word is None:
            known = ", ".join(f"`{each}`" for each in sorted(KINDS))
            yield Fault((*here, "kind"), f"is missing: say what the source is; known are {known}")
        elif not isinstance(word, str):
            yield Fault((*here, "kind"), "expected text")
        elif word not in KINDS:
            yield Fault((*here, "kind"), f"there is no kind `{word}`{proposal(word, list(KINDS))}")
        else:
            found = list(faults(table, KINDS[word]().settings, here))
            yield from found
            if not found:
                source = _source(table)
                offered = source.kind.uris(source.settings)
                for uri in offered:
                    if uri in uris:
                        key = "uri" if "uri" in table else "kind"
                        yield Fault((*here, key), f"`{uri}` is the uri of source[{uris[uri]}] already")
                        break
                uris = dict.fromkeys(offered, index) | uris
                name = getattr(source.settings, "name", None)
                if name in names:
                    message = f"`{name}` is the name of source[{names[name]}] already: give each its own"
                    yield Fault((*here, "name"), message)
                elif isinstance(name, str):
                    names[name] = index


def _source(table: Mapping[str, object]) -> Source:
    kind = KINDS[str(table["kind"])]()
    return Source(kind, msgspec.convert(table, kind.settings))


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


def _open_bind(config: Config) -> Problem | None:
    """A server that others can reach must know the names they use: a web page could reach it under any."""
    server = config.server
    if server.allowed_hosts or is_loopback(server.host):
        return None
    [where] = (each.origin.where for each in config.settings() if each.path == ("server", "host"))
    message = (
        f"{server.host} is reachable from outside, so the names that clients use must be listed: "
        "`--allow-host NAME`, or server.allowed_hosts in the file (`*` allows any)"
    )
    return Problem(f"{where}: server.host", message)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there. Names other than localhost count as reachable."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
