"""No secret that can be recognised is shown, wherever it stands, and nothing else is hidden."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from mcptrio.masking import MASK, MAX_DEPTH, MAX_TEXT, is_secret, mask, mask_text, printable

SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    "key",
    [
        "authorization",
        "Authorization",
        "PROXY_AUTHORIZATION",
        "token",
        "access_token",
        "accessToken",
        "X-Auth-Token",
        "password",
        "db.password_hash",
        "DB_PASSWORD",
        "secret",
        "clientSecret",
        "api_key",
        "apiKey",
        "x-api-key",
        "APIKEY",
        "private_key",
        "cookie",
        "Set-Cookie",
        "credentials",
        "jwt",
    ],
)
def test_a_key_that_names_a_secret_is_recognised(key: str) -> None:
    assert is_secret(key)
    assert mask({key: SECRET}) == {key: MASK}
    assert mask({key: {"inner": SECRET}}) == {key: MASK}


@pytest.mark.parametrize(
    "key",
    [
        "",
        "event",
        "progressToken",
        "progress_token",
        "max_tokens",
        "token_count",
        "key",
        "monkey",
        "tokenizer",
        "author",
        "---",
    ],
)
def test_a_key_that_names_none_is_left(key: str) -> None:
    assert not is_secret(key)


@pytest.mark.parametrize("value", ["", None, True, False])
def test_nothing_is_no_secret(value: object) -> None:
    assert mask({"password": value}) == {"password": value}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"Authorization: Bearer {SECRET}", f"Authorization: {MASK}"),
        (f"sent Bearer {SECRET} to x", f"sent Bearer {MASK} to x"),
        (f"basic {SECRET}", f"basic {MASK}"),
        (f'"authorization": "Bearer {SECRET}"', f'"authorization": {MASK}'),
        (f"Cookie: a={SECRET}; b={SECRET}", f"Cookie: {MASK}"),
        (f"Set-Cookie: a={SECRET}\r\nHost: x", f"Set-Cookie: {MASK}\r\nHost: x"),
        (f"https://me:{SECRET}@example.org/x", f"https://{MASK}@example.org/x"),
        (f"wss://h/mcp?access_token={SECRET}&a=1", f"wss://h/mcp?access_token={MASK}&a=1"),
        (f"password={SECRET} user=me", f"password={MASK} user=me"),
        (f"{{'api_key': '{SECRET}', 'n': 1}}", f"{{'api_key': {MASK}, 'n': 1}}"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.c2ln in text", f"{MASK} in text"),
    ],
)
def test_a_secret_inside_a_text_is_masked(text: str, shown: str) -> None:
    assert mask_text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "connection closed",
        "http://127.0.0.1:8765/mcp?a=1",
        "user@example.org wrote",
        "the basics are here",
        "uri: email://live-feed, count=3",
    ],
)
def test_a_text_without_secrets_stays(text: str) -> None:
    assert mask_text(text) == text


class Config(Struct):
    name: str
    api_key: str


@dataclass
class Login:
    user: str
    password: str


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_secrets_are_masked_at_any_level_of_any_kind_of_value() -> None:
    value = {
        "list": [{"token": SECRET}, f"Bearer {SECRET}"],
        "tuple": (Login("me", SECRET),),
        "struct": Config("a", SECRET),
        "bytes": f"password={SECRET}".encode(),
        "error": ValueError(f"https://me:{SECRET}@x"),
        "set": {1},
        5: {"number": 1.5, "none": None},
        "unspeakable": Unspeakable(),
        "type": Login,
    }
    masked = mask(value)
    assert isinstance(masked, dict)
    assert SECRET not in str(masked)
    assert masked["list"] == [{"token": MASK}, f"Bearer {MASK}"]
    assert masked["tuple"] == [{"user": "me", "password": MASK}]
    assert masked["struct"] == {"name": "a", "api_key": MASK}
    assert masked["set"] == [1]
    assert masked["5"] == {"number": 1.5, "none": None}
    assert masked["unspeakable"] == "<Unspeakable>"


def test_what_is_nested_too_deeply_is_not_shown() -> None:
    value: object = SECRET
    for _ in range(MAX_DEPTH + 1):
        value = {"x": value}
    assert SECRET not in str(mask(value))


def test_a_value_that_contains_itself_is_shown_as_far_as_it_goes() -> None:
    value: dict[str, object] = {}
    value["self"] = value
    assert "..." in str(mask(value))


def test_a_long_text_is_cut() -> None:
    assert len(mask_text("x" * 10 * MAX_TEXT)) < MAX_TEXT + 100


def test_control_characters_are_spelled_out() -> None:
    assert printable("a\x1b[31m\r\u202eb\tc\nd") == "a\\x1b[31m\\r\\u202eb\tc\nd"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values, st.text())
def test_masking_never_raises_and_masking_twice_changes_nothing(value: object, key: str) -> None:
    once = mask(value, key=key)
    assert str(mask(once, key=key)) == str(once)


@given(st.text(alphabet=" \n:=\"'@/?&;Bearbsicokt-_x", max_size=60))
def test_a_secret_is_found_behind_anything(noise: str) -> None:
    assert SECRET not in mask_text(f"{noise} password={SECRET}")
