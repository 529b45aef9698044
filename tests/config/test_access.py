"""The `[server]` table made ready: tokens from where they are kept, the rate, the certificate."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcptrio.access import TokensRefused
from mcptrio.config import access_of, dotted, load, tls_of
from mcptrio.sources.secret import SecretMissing

TOKEN = "0123456789abcdef"


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"alice:{TOKEN}\n")
    path.chmod(0o600)
    return path


def test_without_anything_everybody_may_come_as_often_as_they_like() -> None:
    access = access_of(load().server)
    assert (access.tokens, access.rate) == (None, None)
    assert tls_of(load().server) is None


def test_tokens_come_from_the_file_that_a_flag_names(token_file: Path) -> None:
    config = load(flags={"--token-file": str(token_file)})
    assert access_of(config.server).authenticate(f"Bearer {TOKEN}") == "alice"
    [origin] = [each.origin for each in config.settings() if dotted(each.path) == "server.tokens"]
    assert str(origin) == "flag --token-file"


def test_tokens_come_from_the_environment_and_stay_there() -> None:
    environ = {"MCP_TOKENS": f"bob:{TOKEN}"}
    config = load(environ=environ)
    assert access_of(config.server, environ).authenticate(f"Bearer {TOKEN}") == "bob"
    assert TOKEN not in repr([*config.settings()]) + repr(config.server)
    with pytest.raises(SecretMissing, match="environment variable MCP_TOKENS is not set"):
        access_of(config.server, {})


def test_tokens_come_from_where_a_file_says(tmp_path: Path, token_file: Path) -> None:
    path = tmp_path / "mcptrio.toml"
    path.write_text("[server]\ntokens = { env = 'OURS' }")
    config = load(path)
    assert access_of(config.server, {"OURS": TOKEN}).authenticate(f"Bearer {TOKEN}") == "token-1"
    with pytest.raises(TokensRefused, match="the environment variable OURS, line 1: the token has fewer"):
        access_of(config.server, {"OURS": "short"})
    path.write_text(f"[server]\ntokens = {{ file = '{token_file}' }}")
    config = load(path, environ={"MCP_TOKENS": ""})
    assert access_of(config.server).authenticate(f"Bearer {TOKEN}") == "alice"


@pytest.mark.parametrize(
    ("text", "rate", "burst"),
    [("'100/s'", 100.0, 100), ("'90/m'", 1.5, 2), ("0.2", 0.2, 1), ("'6/m'\nrate_burst = 20", 0.1, 20)],
)
def test_the_rate_is_as_it_is_written_and_its_burst_that_of_a_second(
    tmp_path: Path, text: str, rate: float, burst: int
) -> None:
    path = tmp_path / "mcptrio.toml"
    path.write_text(f"[server]\nrate_limit = {text}")
    limit = access_of(load(path).server).rate
    assert limit is not None
    assert limit.rate == pytest.approx(rate)
    assert limit.burst == burst


@pytest.mark.parametrize(("written", "rate"), [("50", 50.0), ("2.5", 2.5), ("30/M", 0.5)])
def test_the_environment_sets_the_rate(written: str, rate: float) -> None:
    limit = access_of(load(environ={"MCP_RATE_LIMIT": written}).server).rate
    assert limit is not None
    assert limit.rate == pytest.approx(rate)
