"""What a server is told to be: a TOML file, over it the environment, over it the flags of the command line.

Nothing here runs or keeps anything: `load` reads once and answers with an immutable `Config` or with
everything that is wrong, each problem with its place and its fix. The kinds of source are in one table,
`KINDS`; the limits come from the rooms that keep them.
"""

from mcptrio.config.kinds import KINDS, Kind
from mcptrio.config.loading import Config, Setting, Source, is_loopback, load
from mcptrio.config.overrides import ENVIRONMENT, FLAGS, Origin
from mcptrio.config.path import dotted
from mcptrio.config.problem import ConfigError, Problem
from mcptrio.config.settings import LogFormat, LogLevel, ServerTable, server_settings

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
    "dotted",
    "is_loopback",
    "load",
    "server_settings",
]
