"""Request headers in settings."""

import pytest

from mcptrio.sources.headers import check_headers, revealed_headers, shown_headers
from mcptrio.sources.secret import Secret, SecretMissing


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"a b": "x"}, "'a b' is no header name"),
        ({"": "x"}, "'' is no header name"),
        ({"Host": "x"}, "Host is set by the test itself"),
        ({"A": ""}, "the value of A is empty"),
        ({"A": "hush\r\n"}, "the value of A is empty, or has characters"),
        ({"A": "hüsh"}, "the value of A is empty, or has characters"),
    ],
)
def test_what_no_request_may_have_is_refused_by_name(headers: dict[str, str | Secret], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        check_headers(headers, {"host"}, "the test")
    assert "hush" not in str(caught.value)


def test_secrets_are_put_in_and_names_are_in_lower_case(monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"X-A": "b", "X-Key": Secret(env="KEY")}
    check_headers(headers, (), "the test")
    monkeypatch.setenv("KEY", "hush\n")
    assert revealed_headers(headers, "s") == {"x-a": "b", "x-key": "hush"}
    assert shown_headers(headers) == {"X-A": "***", "X-Key": Secret(env="KEY")}


def test_a_secret_that_is_missing_or_no_header_is_told_by_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEY", raising=False)
    with pytest.raises(SecretMissing, match=r"source 's', header X-Key: .*KEY is not set"):
        revealed_headers({"X-Key": Secret(env="KEY")}, "s")
    monkeypatch.setenv("KEY", "hu\nsh")
    with pytest.raises(SecretMissing, match="characters that no header may have") as caught:
        revealed_headers({"X-Key": Secret(env="KEY")}, "s")
    assert "sh" not in str(caught.value).split("secret")[1]
