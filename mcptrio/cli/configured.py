"""From a configuration to the App it describes, with all that is wrong told at once."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path

from mcptrio.access import Access
from mcptrio.app import App
from mcptrio.cli.exits import UserError
from mcptrio.config import Config, ConfigError, Problem, access_of, load, server_settings, tls_of

_TOKENS = ("server", "tokens")


def load_or_explain(
    file: Path | None,
    *,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    listens: bool = True,
    tokens: bool = False,
) -> Config:
    """As `config.load`, with what is wrong as a UserError."""
    try:
        return load(file, flags=flags, environ=environ, listens=listens, tokens=tokens)
    except ConfigError as error:
        raise _wrong(error.problems) from None


def configured_app(config: Config, environ: Mapping[str, str] | None = None) -> App:
    """The App that a configuration describes, with its sources.

    Raises:
        UserError: sources refuse their settings, or secrets are not where they say.
    """
    server = config.server
    problems = []
    access = Access()
    try:
        access = access_of(server, environ)
    except ValueError as error:
        problems.append(config.problem(_TOKENS, str(error)))
    app = App(
        server.name,
        instructions=server.instructions,
        settings=server_settings(server),
        access=access,
        wait_for_change=server.wait_for_change,
    )
    for index, source in enumerate(config.sources):
        try:
            source.kind.install(app.registry, source.settings)
        except ValueError as error:
            problems.append(config.refusal(index, str(error)))
    if problems:
        raise _wrong(problems)
    return app


def access_or_explain(config: Config, environ: Mapping[str, str]) -> Access:
    """As `config.access_of`, with what is wrong as a UserError."""
    try:
        return access_of(config.server, environ)
    except ValueError as error:
        raise _wrong([config.problem(_TOKENS, str(error))]) from None


def tls_or_explain(config: Config) -> ssl.SSLContext | None:
    """As `config.tls_of`, with what is wrong as a UserError."""
    try:
        return tls_of(config.server)
    except ValueError as error:
        raise _wrong([config.problem(("server", "tls_certificate"), str(error))]) from None


def doubts_of(config: Config, access: Access) -> Sequence[Problem]:
    """What is valid and may not be what was meant, in the configuration and where its tokens come from."""
    doubts = () if access.tokens is None else access.tokens.doubts
    return [*config.doubts(), *(config.problem(_TOKENS, each) for each in doubts)]


def _wrong(problems: Sequence[Problem]) -> UserError:
    return UserError("\n  ".join(("the configuration is wrong:", *map(str, problems))))
