"""Secrets are found where the settings say, and never shown."""

from pathlib import Path

import msgspec
import pytest

from mcptrio.sources.secret import MAX_LENGTH, Secret, SecretMissing, reveal


def test_a_secret_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "hush\n")
    assert Secret(env="A_TOKEN").reveal() == "hush"
    assert Secret(env="A_TOKEN").reveal({"A_TOKEN": "other"}) == "other"


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("hush\n")
    assert Secret(file=str(path)).reveal() == "hush"


def test_what_is_written_out_is_itself() -> None:
    assert reveal("plain") == "plain"


def test_a_secret_shows_its_place_and_never_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "hush")
    secret = Secret(env="A_TOKEN")
    assert reveal(secret) == "hush"
    assert "A_TOKEN" in repr(secret)
    assert "hush" not in repr(secret)


def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("A_TOKEN", raising=False)
    with pytest.raises(SecretMissing, match="environment variable A_TOKEN is not set"):
        Secret(env="A_TOKEN").reveal()
    with pytest.raises(SecretMissing, match="environment variable A_TOKEN is empty"):
        Secret(env="A_TOKEN").reveal({"A_TOKEN": " "})


def test_a_file_that_holds_no_secret_is_named_without_its_content(tmp_path: Path) -> None:
    path = tmp_path / "token"
    with pytest.raises(SecretMissing, match="token cannot be read: No such file"):
        Secret(file=str(path)).reveal()
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SecretMissing, match="token is no UTF-8 text"):
        Secret(file=str(path)).reveal()
    path.write_bytes(b"x" * (MAX_LENGTH + 1))
    with pytest.raises(SecretMissing, match=f"more than {MAX_LENGTH} bytes"):
        Secret(file=str(path)).reveal()
    path.write_bytes(b"\n")
    with pytest.raises(SecretMissing, match="token is empty"):
        Secret(file=str(path)).reveal()


@pytest.mark.parametrize("written", [{}, {"env": "A", "file": "b"}, {"env": ""}, {"envv": "A"}, {"env": 1}])
def test_a_secret_is_in_exactly_one_place(written: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(written, Secret)
