"""Flag over environment over file over default; every problem at once, each with its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.catalog import Catalog
from mcptrio.config import KINDS, Config, ConfigError, ServerTable, dotted, load, server_settings
from mcptrio.config.loading import MAX_BYTES
from mcptrio.config.overrides import ENVIRONMENT, FLAGS, type_at
from mcptrio.server import ServerSettings
from mcptrio.simulators import EmailMockSettings
from mcptrio.sources import Registry
from mcptrio.sources.poller import PollerSettings

Write = Callable[[str], Path]

FULL = """\
[server]
host = "127.0.0.1"
port = 9000
name = "mine"
instructions = "Be kind."
log_level = "debug"
log_format = "json"
allowed_hosts = ["mcp.example.org"]
allowed_origins = ["https://app.example.org"]

[server.limits]
max_connections = 50
stall_timeout = "1m"
heartbeat = 5

[[source]]
kind = "poller"
name = "releases"
url = "http://127.0.0.1:8000/releases.json"
every = "30s"
items = "/releases"
id = "/id"
uri = "releases://{id}"
headers = { Authorization = { env = "RELEASES_TOKEN" } }

[[source]]
kind = "email_mock"
rate = 2
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes `mcptrio.toml` into the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        path = Path("mcptrio.toml")
        path.write_text(text, encoding="utf-8")
        return path

    return write


def problems(
    path: Path | None,
    *,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path, environ=environ, flags=flags)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return [str(each) for each in caught.value.problems]


def test_without_anything_there_are_defaults() -> None:
    config = load()
    assert config.server == ServerTable()
    assert config.sources == ()
    assert server_settings(config.server) == ServerSettings()
    assert {str(each.origin) for each in config.settings()} == {"default"}


def test_a_file_sets_what_it_says(write: Write) -> None:
    config = load(write(FULL))
    server = config.server
    assert (server.port, server.name, server.instructions) == (9000, "mine", "Be kind.")
    assert (server.log_level, server.log_format) == ("debug", "json")
    assert server.allowed_hosts == ["mcp.example.org"]
    settings = server_settings(server)
    assert settings.limits.max_connections == 50
    assert settings.limits.stall_timeout == 60.0
    assert settings.limits.heartbeat == 5.0
    assert settings.max_requests == ServerSettings().max_requests
    poller, mail = (each.settings for each in config.sources)
    assert isinstance(poller, PollerSettings)
    assert (poller.name, poller.every) == ("releases", "30s")
    assert isinstance(mail, EmailMockSettings)
    assert mail.rate == 2


@pytest.mark.parametrize("offered", [True, False])
def test_whether_the_server_tells_of_itself_is_a_setting(write: Write, offered: bool) -> None:
    config = load(write(f"[server]\nintrospection = {str(offered).lower()}\n"))
    assert server_settings(config.server).introspection is offered


def test_every_value_says_where_it_comes_from(write: Write) -> None:
    config = load(write(FULL), environ={"MCP_MAX_CONNECTIONS": "7"}, flags={"--port": 0, "--host": None})
    origins = {dotted(each.path): (each.value, str(each.origin)) for each in config.settings()}
    assert origins["server.port"] == (0, "flag --port")
    assert origins["server.limits.max_connections"] == (7, "environment MCP_MAX_CONNECTIONS")
    assert origins["server.limits.stall_timeout"] == ("1m", "file mcptrio.toml:13")
    assert origins["server.limits.head_bytes"] == (16384, "default")
    assert origins["server.host"] == ("127.0.0.1", "file mcptrio.toml:2")
    assert origins["source[0].every"] == ("30s", "file mcptrio.toml:20")
    assert origins["source[0].timeout"] == ("10s", "default")
    assert origins["source[1].rate"][1] == "file mcptrio.toml:28"
    assert origins["source[1].name"] == ("email", "default")


LAYERS = ("flag", "environment", "file")
layers = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(LAYERS, st.sampled_from(["debug", "info", "warning", "error"]))
)


@given(layers)
def test_a_layer_stands_over_those_below(
    tmp_path_factory: pytest.TempPathFactory, layers: dict[str, str]
) -> None:
    path = tmp_path_factory.mktemp("layers") / "mcptrio.toml"
    path.write_text(f'[server]\nlog_level = "{layers["file"]}"' if "file" in layers else "")
    config = load(
        path,
        environ={"MCP_LOG_LEVEL": layers.get("environment", "").upper()},
        flags={"--log-level": layers.get("flag")},
    )
    highest = next((layer for layer in LAYERS if layer in layers), "default")
    assert config.server.log_level == layers.get(highest, "info")
    [origin] = [each.origin for each in config.settings() if each.path[-1] == "log_level"]
    assert origin.layer == highest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[server]\nprot = 1", ["mcptrio.toml:2: server.prot: unknown key; did you mean `port`?"]),
        ("\n[serverr]", ["mcptrio.toml:2: serverr: unknown key; did you mean `server`?"]),
        ("port = 1", ["mcptrio.toml:1: port: unknown key; did you mean `server.port`?"]),
        ("[server]\nport = 70000", ["mcptrio.toml:2: server.port: expected a whole number <= 65535"]),
        (
            "[server]\nport = true",
            ["mcptrio.toml:2: server.port: expected a whole number, got true or false"],
        ),
        ("[server]\nhost = ''", ["mcptrio.toml:2: server.host: expected text of length >= 1"]),
        (
            "[server]\nallowed_hosts = 'x'",
            ["mcptrio.toml:2: server.allowed_hosts: expected a list, got text"],
        ),
        ("server = 3", ["mcptrio.toml:1: server: expected a table, got a whole number"]),
        ("source = 3", ["mcptrio.toml:1: source: expected a list, got a whole number"]),
        ("source = [3]", ["mcptrio.toml:1: source[0]: expected a table, got a whole number"]),
        (
            "[server]\nlog_level = 'verbose'",
            [
                "mcptrio.toml:2: server.log_level: `verbose` is none of its values; "
                "known are `debug`, `error`, `info`, `warning`"
            ],
        ),
        (
            "[server.limits]\nmax_conections = 1",
            ["mcptrio.toml:2: server.limits.max_conections: unknown key; did you mean `max_connections`?"],
        ),
        (
            "[server.limits]\nheartbeat = nan\nmax_message = 0",
            [
                "mcptrio.toml:2: server.limits.heartbeat: expected a number >= 0.001",
                "mcptrio.toml:3: server.limits.max_message: expected a whole number >= 1",
            ],
        ),
        (
            "[server.limits]\nheartbeat = inf",
            ["mcptrio.toml:2: server.limits.heartbeat: expected a number <= 1000000000.0"],
        ),
        (
            "[server.limits]\nheartbeat = '5 weeks'",
            [
                "mcptrio.toml:2: server.limits.heartbeat: '5 weeks' is no duration: "
                "write one such as '500ms', '30s', '5m', '2h' or '1d'"
            ],
        ),
        (
            "[server.limits]\nheartbeat = '0s'",
            ["mcptrio.toml:2: server.limits.heartbeat: is 0 s, but must be between 0.001 s and 11574.1 days"],
        ),
        (
            "[[source]]\nname = 'x'",
            [
                "mcptrio.toml:1: source[0].kind: is missing: say what the source is; known are "
                + ", ".join(f"`{each}`" for each in sorted(KINDS))
            ],
        ),
        ("[[source]]\nkind = 3", ["mcptrio.toml:2: source[0].kind: expected text"]),
        (
            "[[source]]\nkind = 'email'",
            ["mcptrio.toml:2: source[0].kind: there is no kind `email`; did you mean `email_mock`?"],
        ),
        (
            "[[source]]\nkind = 'email_mock'\nratte = 1",
            ["mcptrio.toml:3: source[0].ratte: unknown key; did you mean `rate`?"],
        ),
        (
            "[[source]]\nkind = 'email_mock'\n[[source]]\nkind = 'email_mock'",
            [
                "mcptrio.toml:4: source[1].kind: `email://live-feed` is the uri of source[0] already",
                "mcptrio.toml:3: source[1].name: `email` is the name of source[0] already: give each its own",
            ],
        ),
        (
            "[[source]]\nkind = 'poller'\nname = 'a'\nurl = 'http://x/'\nuri = 'a://b'\n"
            "[[source]]\nkind = 'poller'\nname = 'b'\nurl = 'http://x/'\nuri = 'a://b'",
            ["mcptrio.toml:10: source[1].uri: `a://b` is the uri of source[0] already"],
        ),
        (
            "[source]\nkind = 'poller'",
            ["mcptrio.toml:1: source: expected a list, got a table: write [[source]]"],
        ),
        ("source = 3", ["mcptrio.toml:1: source: expected a list, got a whole number"]),
        (
            "[[source]]\nkind = 'poller'\nname = 'a'\nurl = 'http://x/'\nuri = 'a://b'\nevery = '40d'",
            [
                "mcptrio.toml:6: source[0].every: is 40 days, but must be between 0.1 s and 30 days",
            ],
        ),
        (
            "[[source]]\nkind = 'poller'\nname = 'a'\nurl = 'http://x/'\nuri = 'a://b'\nevery = '5 weeks'",
            [
                "mcptrio.toml:6: source[0].every: '5 weeks' is no duration: "
                "write one such as '500ms', '30s', '5m', '2h' or '1d'"
            ],
        ),
    ],
)
def test_a_problem_has_its_place_and_its_fix(write: Write, text: str, expected: list[str]) -> None:
    assert problems(write(text)) == expected


@pytest.mark.parametrize("text", ["a = 1\nb = \n", "a = 1\na = 2\n", "a = 1\nb = [1"])
def test_what_is_no_toml_is_told_with_the_parser_s_line(write: Write, text: str) -> None:
    [problem] = problems(write(text))
    assert problem.startswith("mcptrio.toml:2: is not valid TOML: ")


def test_all_problems_of_all_layers_are_told_at_once(write: Write) -> None:
    text = "[server]\nport = 'x'\nname = 3\n[[source]]\nkind = 'x'\n[[source]]\nkind = 'poller'\n"
    found = problems(
        write(text),
        environ={"MCP_LOG_LEVEL": "loud", "MCP_MAX_CONNECTIONS": "many"},
        flags={"--log-format": "xml"},
    )
    assert [each.split(": ")[-2] for each in found] == [
        "server.port",
        "server.name",
        "source[0].kind",
        "source[1].name",
        "source[1].url",
        "source[1].uri",
        "MCP_LOG_LEVEL",
        "MCP_MAX_CONNECTIONS",
        "--log-format",
    ]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("MCP_LOG_LEVEL", "5", "MCP_LOG_LEVEL: expected text, got a whole number"),
        ("MCP_MAX_CONNECTIONS", "0", "MCP_MAX_CONNECTIONS: expected a whole number >= 1"),
        ("MCP_MAX_CONNECTIONS", "1.5", "MCP_MAX_CONNECTIONS: expected a whole number, got text"),
    ],
)
def test_a_wrong_environment_is_told_by_the_variable(name: str, value: str, expected: str) -> None:
    assert problems(None, environ={name: value}) == [expected]


def test_an_empty_variable_is_not_set() -> None:
    assert load(environ={"MCP_LOG_LEVEL": "", "MCP_MAX_CONNECTIONS": " "}).server == ServerTable()


def test_variables_and_flags_set_what_there_is() -> None:
    for path in (*ENVIRONMENT.values(), *FLAGS.values()):
        type_at(path)
    with pytest.raises(KeyError):
        type_at(("server", "port", "x"))


def test_a_file_that_is_not_there_is_told(write: Write) -> None:
    assert problems(Path("none.toml")) == ["none.toml: there is no such file"]


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    assert problems(tmp_path) == [f"{tmp_path}: cannot be read: Is a directory"]


def test_a_file_that_is_not_utf8_is_told_with_its_line(write: Write) -> None:
    path = write("")
    path.write_bytes(b"a = 1\nb = '\xff'\n")
    assert problems(path) == ["mcptrio.toml:2: is not UTF-8: save the file as UTF-8"]


def test_a_file_with_a_byte_order_mark_and_windows_line_ends_is_read(write: Write) -> None:
    path = write("")
    path.write_bytes(b"\xef\xbb\xbf[server]\r\nport = 5\r\n")
    assert load(path).server.port == 5


def test_a_file_that_is_no_configuration_is_not_read_to_its_end(write: Write) -> None:
    path = write("#" * (MAX_BYTES + 1))
    assert problems(path) == [f"mcptrio.toml: is longer than {MAX_BYTES} bytes: is it a configuration?"]


def test_endless_nesting_is_told(write: Write) -> None:
    assert problems(write("a = " + "[" * 100_000)) == ["mcptrio.toml: is nested too deeply"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "mcp.example.org"])
def test_a_host_that_others_reach_wants_the_names_they_use(host: str) -> None:
    flags = {"--host": host, "--anonymous": True}
    [problem] = problems(None, flags=flags)
    assert problem.startswith(f"--host: server.host: {host} is reachable from outside")
    assert "`--allow-host NAME`" in problem
    assert load(flags={**flags, "--allow-host": ["*"]}).server.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "localhost", "LOCALHOST", "::1", "[::1]"])
def test_a_loopback_host_wants_no_list(host: str) -> None:
    assert load(flags={"--host": host}).server.host == host


@pytest.mark.parametrize("value", ["0", "0.0", "'0s'"])
def test_a_time_of_which_zero_says_something_may_be_zero(write: Write, value: str) -> None:
    config = load(write(f"[server.limits]\nstream_after = {value}"))
    assert server_settings(config.server).stream_after == 0.0


def test_the_kinds_are_those_of_their_settings() -> None:
    for word, kind in KINDS.items():
        assert kind().settings.__struct_config__.tag == word


def test_a_source_is_installed_by_its_kind(write: Write) -> None:
    config: Config = load(write("[[source]]\nkind = 'email_mock'\nname = 'post'"))
    registry = Registry(Catalog(on_change=lambda kind: None))
    [source] = config.sources
    source.kind.install(registry, source.settings)
    assert [each.name for each in registry.sources()] == ["post"]
    with pytest.raises(TypeError, match="expected EmailMockSettings"):
        source.kind.install(registry, ServerTable())
