"""From a configuration to the App it describes, with all that is wrong told at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mcptrio.app import App
from mcptrio.cli.exits import UserError
from mcptrio.config import Config, ConfigError, Problem, load, server_settings


def load_or_explain(file: Path | None, *, flags: Mapping[str, object], environ: Mapping[str, str]) -> Config:
    """As `config.load`, with what is wrong as a UserError."""
    try:
        return load(file, flags=flags, environ=environ)
    except ConfigError as error:
        raise _wrong(error.problems) from None


def configured_app(config: Config) -> App:
    """The App that a configuration describes, with its sources.

    Raises:
        UserError: sources refuse their settings, or secrets are not where they say.
    """
    server = config.server
    app = App(server.name, instructions=server.instructions, settings=server_settings(server))
    problems = []
    for index, source in enumerate(config.sources):
        try:
            source.kind.install(app.registry, source.settings)
        except ValueError as error:
            problems.append(config.refusal(index, str(error)))
    if problems:
        raise _wrong(problems)
    return app


def _wrong(problems: Sequence[Problem]) -> UserError:
    return UserError("\n  ".join(("the configuration is wrong:", *map(str, problems))))
