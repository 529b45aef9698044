"""Settings of a poller: what is wrong is said by name, before anything runs."""

from collections.abc import Mapping

import msgspec
import pytest

from mcptrio.sources.poller import PollerSettings
from mcptrio.sources.secret import SecretMissing

WHOLE = {"kind": "poller", "name": "weather", "url": "http://example.org/w.json", "uri": "weather://oslo"}
ITEMS = {
    "kind": "poller",
    "name": "releases",
    "url": "http://127.0.0.1:8000/releases.json",
    "items": "/releases",
    "id": "/id",
    "uri": "releases://{id}",
}


def convert(written: Mapping[str, object]) -> PollerSettings:
    return msgspec.convert(written, PollerSettings)


def test_the_least_settings_are_enough() -> None:
    assert convert(WHOLE).every == "30s"
    assert (convert(WHOLE).linger, convert(WHOLE).always) == ("30s", False)
    assert convert(ITEMS).items == "/releases"


@pytest.mark.parametrize(
    ("base", "wrong", "message"),
    [
        (WHOLE, {"name": ""}, "`name` is empty"),
        (WHOLE, {"url": "ftp://example.org/"}, "`url` must be an http or https URL"),
        (WHOLE, {"url": "example.org"}, "`url` must be an http or https URL"),
        (WHOLE, {"url": "http:///x"}, "`url` must be an http or https URL"),
        (WHOLE, {"url": "http://example.org:99999/"}, "`url` must be an http or https URL"),
        (WHOLE, {"url": "http://[::1/"}, "`url` must be an http or https URL"),
        (WHOLE, {"url": "http://example.org/a b"}, "`url` must be an http or https URL"),
        (WHOLE, {"id": "/id"}, "`id` says where the id is inside an item: it needs `items`"),
        (WHOLE, {"uri": "weather://{id}"}, "`uri` has variables, so it needs `items`"),
        (WHOLE, {"uri": "oslo"}, "^`uri`: .*not absolute"),
        (ITEMS, {"id": None}, "`items` needs `id`"),
        (ITEMS, {"uri": "releases://all"}, r"`uri` needs the variable \{id\}"),
        (ITEMS, {"uri": "releases://{number}"}, r"`uri` must have one variable, \{id\}, not number"),
        (ITEMS, {"uri": "releases://{id}/{name}"}, r"`uri` must have one variable, \{id\}, not id, name"),
        (ITEMS, {"uri": "releases://{id"}, "^`uri`: .*a brace has no partner"),
        (ITEMS, {"uri": "{id}"}, "must begin with a scheme"),
        (ITEMS, {"items": "releases"}, "`items`: 'releases' is no JSON pointer"),
        (ITEMS, {"id": "/~"}, "`id`: '/~' is no JSON pointer"),
        (WHOLE, {"every": "50ms"}, "`every` is 0.05 s, but must be between 0.1 s"),
        (WHOLE, {"every": "soon"}, "`every`: 'soon' is no duration"),
        (WHOLE, {"timeout": 0}, "`timeout` is 0 s"),
        (WHOLE, {"linger": -1}, "`linger`: -1"),
        (WHOLE, {"linger": "a while"}, "`linger`: 'a while' is no duration"),
        (WHOLE, {"linger": "31d"}, "`linger` is 31 days, but must be between 0 s and 30 days"),
        (WHOLE, {"always": "yes"}, "Expected `bool`"),
        (WHOLE, {"max_body": 0}, "`max_body` is 0"),
        (WHOLE, {"jitter": 1.5}, "`jitter` is 1.5"),
        (WHOLE, {"headers": {"no name": "x"}}, "'no name' is no header name"),
        (WHOLE, {"headers": {"If-None-Match": "x"}}, "If-None-Match is set by the poller itself"),
        (WHOLE, {"headers": {"X-Key": "a\r\nb"}}, "the value of X-Key"),
        (WHOLE, {"headers": {"X-Key": ""}}, "the value of X-Key"),
        (WHOLE, {"headers": {"X-Key": {"enw": "A"}}}, "unknown field `enw`"),
        (WHOLE, {"evry": "30s"}, "unknown field `evry`"),
    ],
)
def test_what_cannot_work_is_refused_by_name(
    base: Mapping[str, object], wrong: Mapping[str, object], message: str
) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        convert({**base, **wrong})


def test_headers_come_from_where_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEASES_TOKEN", "Bearer hush\n")
    settings = convert(
        {**WHOLE, "headers": {"Authorization": {"env": "RELEASES_TOKEN"}, "Accept": "text/plain"}}
    )
    headers = settings.revealed_headers()
    assert headers["authorization"] == "Bearer hush"
    assert headers["accept"] == "text/plain"


def test_a_missing_secret_names_the_source_the_header_and_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RELEASES_TOKEN", raising=False)
    settings = convert({**WHOLE, "headers": {"Authorization": {"env": "RELEASES_TOKEN"}}})
    with pytest.raises(
        SecretMissing,
        match=r"^`headers`: source 'weather', header Authorization: .*RELEASES_TOKEN is not set",
    ):
        settings.revealed_headers()


def test_a_secret_that_no_header_may_have_is_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RELEASES_TOKEN", "hu\r\nsh")
    settings = convert({**WHOLE, "headers": {"Authorization": {"env": "RELEASES_TOKEN"}}})
    with pytest.raises(SecretMissing, match="characters that no header may have") as caught:
        settings.revealed_headers()
    assert "hu" not in str(caught.value).replace("that", "")


def test_no_secret_is_in_any_form_of_repr() -> None:
    settings = convert(
        {
            **WHOLE,
            "url": "http://user:hush@example.org/w.json?key=hush",
            "headers": {"X-Key": "hush", "Authorization": {"env": "TOKEN"}},
        }
    )
    for shown in (repr(settings), str(settings), repr(settings.__rich_repr__())):
        assert "hush" not in shown
        assert "TOKEN" in shown
        assert "example.org/w.json?..." in shown
