"""Who a request is from: by its one bearer token, or nobody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.access import Access, Tokens, Unauthorized

TOKEN = "0123456789abcdef"
OTHER = "fedcba9876543210"
PLAIN = 'Bearer realm="mcptrio"'
INVALID = 'Bearer realm="mcptrio", error="invalid_token"'


@pytest.fixture
def access() -> Access:
    return Access(Tokens.parse(f"alice:{TOKEN}\nbob:{OTHER}", "here"))


@pytest.mark.parametrize("authorization", [None, "", f"Bearer {TOKEN}", "Basic eDp5"])
def test_without_tokens_everybody_is_nobody(authorization: str | None) -> None:
    assert Access().authenticate(authorization) is None


@pytest.mark.parametrize(
    "authorization", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER   {TOKEN}", f" Bearer {TOKEN}\t"]
)
def test_a_token_is_its_principal(access: Access, authorization: str) -> None:
    assert access.authenticate(authorization) == "alice"
    assert access.authenticate(f"Bearer {OTHER}") == "bob"


def test_no_credential_is_told_what_is_wanted(access: Access) -> None:
    with pytest.raises(Unauthorized, match="a bearer token is needed") as caught:
        access.authenticate(None)
    assert caught.value.challenge == PLAIN


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        TOKEN,
        f"Basic {TOKEN}",
        f"Bearer{TOKEN}",
        f"Bearer\t{TOKEN}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}=",
        f"Bearer {TOKEN} {TOKEN}",
        f"Bearer {TOKEN}, Bearer {TOKEN}",
        f"Bearer {TOKEN},",
        f'Bearer "{TOKEN}"',
        f"Bearer {TOKEN}\n",
        f"Bearer {TOKEN}\x00",
        f"Bearer alice:{TOKEN}",
        "Bearer \ud800",
    ],
)
def test_anything_else_is_refused_and_not_repeated(access: Access, authorization: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        access.authenticate(authorization)
    assert caught.value.challenge == INVALID
    assert TOKEN not in str(caught.value) + caught.value.challenge
    assert caught.value.__cause__ is None


def test_tokens_can_be_replaced_while_they_are_in_use(access: Access) -> None:
    access.tokens = Tokens.parse(OTHER, "here")
    assert access.authenticate(f"Bearer {OTHER}") == "token-1"
    with pytest.raises(Unauthorized):
        access.authenticate(f"Bearer {TOKEN}")


@given(st.text(max_size=40))
def test_whatever_is_sent_is_let_in_only_with_a_token(text: str) -> None:
    access = Access(Tokens.parse(TOKEN, "here"))
    for authorization in (text, f"Bearer {text}", f"{text} {TOKEN}"):
        try:
            principal = access.authenticate(authorization)
        except Unauthorized as refused:
            assert refused.challenge == INVALID
        else:
            assert principal == "token-1"
            assert authorization.split()[0].lower() == "bearer"
            assert authorization.split()[1] == TOKEN
