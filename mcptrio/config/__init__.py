"""What a server is told to be: a TOML file, over it the environment, over it the flags of the command line.

Nothing here runs or keeps anything: `load` reads once and answers with an immutable `Config` or with
everything that is wrong, each problem with its place and its fix. The built-in kinds of source are in one table,
`KINDS`; a third party's is named by its module or by an entry point of its package. The limits come from the rooms
that keep them.
"""

from mcptrio.config.access import access_of, tls_of
from mcptrio.config.conflicts import exposure
from mcptrio.config.kind import Kind
from mcptrio.config.kinds import KINDS
from mcptrio.config.loading import Config, Setting, load
from mcptrio.config.overrides import ENVIRONMENT, FLAGS, Origin
from mcptrio.config.path import dotted
from mcptrio.config.problem import ConfigError, Problem
from mcptrio.config.settings import LogFormat, LogLevel, ServerTable, server_settings
from mcptrio.config.source_tables import Source

__all__ = [
    "ENVIRONMENT",
    "FLAGS",
    "KINDS",
    "Config",
    "ConfigError",
    "Kind",
    "LogFormat",
    "LogLevel",
    "Origin",
    "Problem",
    "ServerTable",
    "Setting",
    "Source",
    "access_of",
    "dotted",
    "exposure",
    "load",
    "server_settings",
    "tls_of",
]
