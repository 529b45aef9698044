"""Tokens are read as they are written down, told apart by digest alone, and never shown."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.access import Tokens, TokensRefused
from mcptrio.access.tokens import LONGEST, MAX_BYTES, MOST

ALICE = "alice-0123456789abcdef"
BARE = "bare/0123456789+abcd=="


def test_each_token_stands_for_its_principal() -> None:
    tokens = Tokens.parse(f"# ours\n\n alice : {ALICE} \r\n{BARE}\nbob@x.org:{'b' * 16}", "here")
    assert len(tokens) == 3
    assert tokens.principal_of(ALICE) == "alice"
    assert tokens.principal_of(BARE) == "token-2"
    assert tokens.principal_of("b" * 16) == "bob@x.org"
    assert tokens.principal_of(ALICE.upper()) is None
    assert tokens.principal_of("") is None
    assert tokens.principal_of("\ud800") is None


def test_a_variable_may_have_them_between_commas() -> None:
    tokens = Tokens.parse(f"alice:{ALICE}, {BARE},", "here")
    assert [tokens.principal_of(each) for each in (ALICE, BARE)] == ["alice", "token-2"]


def test_a_principal_may_have_several_tokens_so_that_one_can_be_replaced() -> None:
    tokens = Tokens.parse(f"alice:{ALICE}\nalice:{BARE}", "here")
    assert {tokens.principal_of(each) for each in (ALICE, BARE)} == {"alice"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "here: there is no token"),
        ("# only a comment", "here: there is no token"),
        ("\nalice:hunter2", "here, line 2: the token has fewer than 16 characters"),
        (f"al ice:{ALICE}", "here, line 1: a principal is at most 64 letters"),
        (f":{ALICE}", "here, line 1: a principal is at most 64 letters"),
        (f"a:b:{ALICE}", "here, line 1: a principal is at most 64 letters"),
        (f"{'a' * 65}:{ALICE}", "here, line 1: a principal is at most 64 letters"),
        (f"alicé:{ALICE}", "here, line 1: a principal is at most 64 letters"),
        (f"token-7:{ALICE}", "here, line 1: token-7 is the name of a token without a principal"),
        (f"alice:{'é' * 16}", "here, line 1: a token is made of letters"),
        (f"alice:{ALICE} #", "here, line 1: a token is made of letters"),
        (f"alice:{'x' * (LONGEST + 1)}", f"here, line 1: the token has more than {LONGEST} characters"),
        (f"alice:{ALICE}\nbob:{ALICE}", "here, line 2: this token is that of alice, too"),
        (f"{ALICE},{ALICE}", "here, line 1: this token is that of token-1, too"),
        ("\n".join(f"{each:016}" for each in range(MOST + 1)), f"here: there are more than {MOST} tokens"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_line_and_without_a_token(text: str, told: str) -> None:
    with pytest.raises(TokensRefused) as caught:
        Tokens.parse(text, "here")
    assert str(caught.value).startswith(told)
    assert "hunter2" not in str(caught.value)
    assert ALICE not in str(caught.value)


def test_nothing_of_a_token_is_kept() -> None:
    tokens = Tokens.parse(f"alice:{ALICE}", "here")
    assert ALICE.encode() not in pickle.dumps(tokens)
    assert repr(tokens) == "<Tokens: 1>"


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_bytes(b"\xef\xbb\xbfalice:" + ALICE.encode() + b"\r\n")
    path.chmod(0o640)
    tokens = Tokens.read(path)
    assert tokens.principal_of(ALICE) == "alice"
    assert tokens.doubts == ()


def test_a_file_that_every_user_may_read_is_a_doubt(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text(ALICE)
    path.chmod(0o644)
    tokens = Tokens.read(path)
    assert tokens.principal_of(ALICE) == "token-1"
    assert tokens.doubts == (f"the file {path} can be read by every user of this machine: chmod 600 {path}",)


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "tokens"
    path.write_text(ALICE)
    path.chmod(mode)
    with pytest.raises(TokensRefused, match="tokens can be written by others: chmod 600"):
        Tokens.read(path)


def test_a_file_that_holds_no_tokens_is_named_without_its_content(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    with pytest.raises(TokensRefused, match="tokens cannot be read: No such file"):
        Tokens.read(path)
    with pytest.raises(TokensRefused, match="cannot be read: Is a directory"):
        Tokens.read(tmp_path)
    for content, told in (
        (b"\xff" * 20, "tokens is no UTF-8 text"),
        (b"x" * (MAX_BYTES + 1), f"tokens has more than {MAX_BYTES} bytes"),
        (b"alice:short", "tokens, line 1: the token has fewer"),
    ):
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(TokensRefused, match=told):
            Tokens.read(path)


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,20}", fullmatch=True).filter(
    lambda name: not name.startswith("token-")
)
secrets = st.from_regex(r"[A-Za-z0-9._~+/-]{16,40}={0,2}", fullmatch=True)


@given(
    st.dictionaries(secrets, st.none() | names, min_size=1, max_size=5),
    st.sampled_from(["\n", ",", " ,\r\n"]),
)
def test_what_is_written_is_what_is_known(written: dict[str, str | None], between: str) -> None:
    text = between.join(secret if name is None else f"{name}:{secret}" for secret, name in written.items())
    tokens = Tokens.parse(text, "here")
    assert len(tokens) == len(written)
    for place, (secret, name) in enumerate(written.items(), 1):
        assert tokens.principal_of(secret) == (name or f"token-{place}")
        assert tokens.principal_of(secret[:-1]) in (None, *written.values())


@given(st.text(alphabet=st.sampled_from("aB1:,#=\n\r\t é~/"), max_size=60))
def test_any_text_is_tokens_or_refused_in_words(text: str) -> None:
    try:
        tokens = Tokens.parse(text, "here")
    except TokensRefused as error:
        assert str(error).startswith("here")
    else:
        assert len(tokens) > 0
