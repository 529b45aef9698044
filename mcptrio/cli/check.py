"""`mcptrio check`: whether a configuration is valid, and where each of its values comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from mcptrio.cli.configured import configured_app, doubts_of, load_or_explain, tls_or_explain
from mcptrio.cli.exits import Exit, say
from mcptrio.cli.printing import print_text
from mcptrio.config import Config, dotted
from mcptrio.masking import MASK, is_secret, mask
from mcptrio.sources.secret import Secret, SecretMissing

_WIDEST = 60
_ALL_SECRET = ("headers", "first")
"""Settings of which every text written out is taken for a secret, whatever its key: what is sent to a service."""


class Row(Struct, frozen=True):
    """A value in force: its key path, the value without secrets, and where it comes from."""

    key: str
    value: object
    origin: str


def check(
    file: Path, *, flags: Mapping[str, object], environ: Mapping[str, str], as_json: bool = False
) -> int:
    """Validate a configuration as `serve` would take it here and now, and write every value with its origin.

    A secret is never shown; where it is not to be found (only its place is in the file) the line says so, and the
    configuration is not valid. Sources are installed as `serve` does it, and never run. What is valid and may not be
    meant as it is written is told on standard error.

    Raises:
        UserError: the configuration is wrong; the message has a line for each problem.
    """
    config = load_or_explain(file, flags=flags, environ=environ)
    rows = list(rows_of(config, environ))
    if as_json:
        print_text(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode() + "\n")
    else:
        print_text(table_of(rows))
    app = configured_app(config, environ)
    tls_or_explain(config)
    for doubt in doubts_of(config, app.access):
        say(f"mcptrio: {doubt}")
    if not as_json:
        print_text(f"{file}: valid\n")
    return Exit.OK


def rows_of(config: Config, environ: Mapping[str, str]) -> Iterable[Row]:
    """Every value in force, fit to be shown."""
    for setting in config.settings():
        name = str(setting.path[-1])
        yield Row(dotted(setting.path), _shown(setting.value, name, environ), str(setting.origin))


def table_of(rows: Iterable[Row]) -> str:
    """The rows for people, in columns."""
    cells = [(row.key, msgspec.json.encode(row.value).decode(), row.origin) for row in rows]
    keys = max((len(key) for key, _, _ in cells), default=0)
    values = min(_WIDEST, max((len(value) for _, value, _ in cells), default=0))
    return "".join(f"{key:<{keys}}  {value:<{values}}  {origin}\n" for key, value, origin in cells)


def _shown(value: object, name: str, environ: Mapping[str, str]) -> object:
    if isinstance(value, Secret):
        place = f"env {value.env}" if value.env else f"file {value.file}"
        return f"<{place}{'' if _is_there(value, environ) else ', not there now'}>"
    all_secret = name in _ALL_SECRET or is_secret(name)
    if isinstance(value, Struct):
        value = {each: getattr(value, each) for each in value.__struct_fields__}
    if isinstance(value, dict):
        return {
            str(key): _shown(each, name if all_secret else str(key), environ) for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [_shown(each, name if all_secret else "", environ) for each in value]
    if name in _ALL_SECRET and isinstance(value, str):
        return MASK
    return mask(value, key=name)


def _is_there(secret: Secret, environ: Mapping[str, str]) -> bool:
    try:
        secret.reveal(environ)
    except SecretMissing:
        return False
    return True
