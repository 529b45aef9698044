"""Where the commands that talk to a server find the token."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcptrio.cli.client_flags import TOKEN_VARIABLE, TokenFlags, token_of
from mcptrio.cli.exits import UserError

TOKEN = "tulips-are-red"


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return str(path)


def test_without_flags_it_is_in_the_environment_or_nowhere() -> None:
    assert token_of(TokenFlags(), {}) is None
    assert token_of(TokenFlags(), {TOKEN_VARIABLE: ""}) is None
    assert token_of(TokenFlags(), {TOKEN_VARIABLE: f" {TOKEN}\n"}) == TOKEN


def test_a_flag_names_another_place(file: str) -> None:
    environ = {TOKEN_VARIABLE: "other", "MINE": TOKEN}
    assert token_of(TokenFlags(token_env="MINE"), environ) == TOKEN
    assert token_of(TokenFlags(token_file=file), environ) == TOKEN


@pytest.mark.parametrize(
    ("content", "token"),
    [
        (f"alice:{TOKEN}", TOKEN),
        (f"# of this month\n\nalice@example.org: {TOKEN}==\n", f"{TOKEN}=="),
        ("no:token:has:colons", "no:token:has:colons"),
    ],
)
def test_the_server_s_file_of_one_token_will_do(tmp_path: Path, content: str, token: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(content)
    assert token_of(TokenFlags(token_file=str(path)), {}) == token


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (TokenFlags(token_env="MISSING"), "--token-env: the environment variable MISSING is not set"),
        (TokenFlags(token_env="WRONG"), "WRONG: a token is one word"),
        (TokenFlags(token_env="A", token_file="b"), "leave one out"),
        (TokenFlags(token_file="/no/such/file"), "/no/such/file: No such file"),
        (TokenFlags(token_file="/"), "Is a directory"),
    ],
)
def test_a_token_that_cannot_be_had_is_a_users_mistake(flags: TokenFlags, told: str) -> None:
    with pytest.raises(UserError, match=told) as caught:
        token_of(flags, {"WRONG": "two words"})
    assert "two words" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff\xfe", "holds no text"),
        (b"\n", "one word"),
        (b"a b", "one word"),
        (
            b"alice:0123456789abcdef\nbob:fedcba9876543210\n",
            "holds 2 tokens: name a file with the one to send",
        ),
    ],
)
def test_a_file_that_holds_no_token_is_a_users_mistake(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(UserError, match=told):
        token_of(TokenFlags(token_file=str(path)), {})
