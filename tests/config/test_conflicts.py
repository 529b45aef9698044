"""What is right by itself and does not go together: each told with its layer's place and its fix."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from mcptrio.config import ConfigError, load


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(
    text: str,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
    *,
    listens: bool = True,
) -> list[str]:
    """What is wrong with a file of this `[server]` table; nothing if it can be used."""
    path = Path("mcptrio.toml")
    path.write_text(f"[server]\n{text}")
    try:
        load(path, environ=environ, flags=flags, listens=listens)
    except ConfigError as error:
        return [str(each) for each in error.problems]
    return []


NAMES = "allowed_hosts = ['*']\n"
FAR = f"{NAMES}host = '0.0.0.0'"
REACHABLE = "mcptrio.toml:3: server.host: 0.0.0.0 is reachable from outside, and everybody would be let in: give tokens"


def test_a_host_that_others_reach_wants_tokens_or_the_word() -> None:
    [problem] = told(FAR)
    assert problem.startswith(REACHABLE)
    assert "`--token-file FILE`" in problem
    assert "`--anonymous`" in problem
    assert told(f"{FAR}\nanonymous = true") == []
    assert told(f"{FAR}\ntokens = {{ env = 'X' }}") == []
    assert told(FAR, flags={"--anonymous": True}) == []
    assert told(FAR, flags={"--token-file": "tokens"}) == []
    assert told(FAR, environ={"MCP_TOKENS": "alice:0123456789abcdef"}) == []
    assert told(NAMES, flags={"--host": "mcp.example"})[0].startswith("--host: server.host: mcp.example is")


def test_names_and_tokens_are_asked_for_at_once() -> None:
    assert [each.split(", ")[1][:12] for each in told("host = '::'")] == ["so the names", "and everybod"]


def test_an_app_elsewhere_may_have_its_own_tokens() -> None:
    flags = {"--host": "0.0.0.0", "--allow-host": ["*"]}
    assert load(flags=flags, tokens=True).server.host == "0.0.0.0"
    with pytest.raises(ConfigError, match="everybody would be let in"):
        load(flags=flags)


def test_who_does_not_listen_is_not_reached() -> None:
    assert told("host = '0.0.0.0'\nport = 1\nunix_socket = 'x'", listens=False) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "rate_limit = 'fast'",
            "mcptrio.toml:2: server.rate_limit: 'fast' is no rate: write one such as '100/s', '600/m' or '1000/h'",
        ),
        ("rate_limit = 0", "mcptrio.toml:2: server.rate_limit: expected a number >= 1e-06"),
        ("rate_burst = 5", "mcptrio.toml:2: server.rate_burst: goes with a rate_limit, and there is none"),
        ("rate_limit = 1\nrate_burst = 0", "mcptrio.toml:3: server.rate_burst: expected a whole number >= 1"),
        (
            "tls_key = 'key.pem'",
            "mcptrio.toml:2: server.tls_key: goes with a certificate: "
            "give `--tls-certificate FILE`, or server.tls_certificate",
        ),
        ("tls_certificate = ''", "mcptrio.toml:2: server.tls_certificate: expected text of length >= 1"),
        (
            "tokens = 'hunter2'",
            'mcptrio.toml:2: server.tokens: write tokens = { env = "NAME" } or { file = "PATH" }: '
            "a secret does not belong into the file",
        ),
        (
            "tokens = {}",
            'mcptrio.toml:2: server.tokens: a secret is either { env = "NAME" } or { file = "path" }',
        ),
        (
            "unix_socket = 'mcp.sock'\nport = 5",
            "mcptrio.toml:3: server.port: stands beside unix_socket (file mcptrio.toml:2), which takes its place: "
            "leave one of them out",
        ),
    ],
)
def test_a_problem_has_its_place_and_its_fix(text: str, expected: str) -> None:
    assert told(text) == [expected]


def test_a_socket_s_path_stands_over_a_lower_layer_s_host_and_port() -> None:
    assert told("host = '0.0.0.0'\nport = 5", flags={"--unix-socket": "mcp.sock"}) == []
    [problem] = told("unix_socket = 'mcp.sock'", flags={"--port": 5})
    assert problem.startswith("--port: server.port: stands beside unix_socket (file mcptrio.toml:2)")


def test_what_only_all_layers_together_have_is_judged_then() -> None:
    assert told("tls_key = 'k'\nrate_burst = 5", {"MCP_RATE_LIMIT": "9/m"}, {"--tls-certificate": "c"}) == []
    assert told("", {"MCP_RATE_LIMIT": "fast"}) == [
        "MCP_RATE_LIMIT: server.rate_limit: 'fast' is no rate: write one such as '100/s', '600/m' or '1000/h'"
    ]
    assert told("", {"MCP_RATE_LIMIT": "0"}) == ["MCP_RATE_LIMIT: expected a number >= 1e-06"]


def test_two_inlets_with_one_port_are_a_doubt() -> None:
    inlet = "[[source]]\nkind = 'smtp'\nname = '{}'\nport = {}\nhost = '{}'\n"
    cases = [("one", 25, "127.0.0.1"), ("two", 26, "127.0.0.1"), ("three", 25, "127.0.0.2")]
    rest = [("four", 25, "127.0.0.1"), ("five", 0, "::1"), ("six", 0, "::1")]
    Path("mcptrio.toml").write_text("".join(inlet.format(*each) for each in cases + rest))
    assert [str(each) for each in load(Path("mcptrio.toml")).doubts()] == [
        "mcptrio.toml:19: source[3].port: 25 is the port of source[0] too, so only one of them can listen: "
        "choose another"
    ]
