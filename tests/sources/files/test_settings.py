"""Settings of a directory: what is wrong is said by name, before anything is looked at."""

from collections.abc import Mapping

import msgspec
import pytest

from mcptrio.catalog import UriTemplate
from mcptrio.live import check_uri
from mcptrio.sources.files import FilesSettings

LEAST = {"kind": "files", "name": "docs", "path": "/srv/docs"}


def convert(written: Mapping[str, object]) -> FilesSettings:
    return msgspec.convert(written, FilesSettings)


def test_the_least_settings_are_enough() -> None:
    settings = convert(LEAST)
    assert settings.template() == "files://docs/{+path}"
    assert (settings.linger, settings.always, settings.recursive) == ("30s", False, True)
    assert convert(LEAST).exclude is not settings.exclude


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": ""}, "`name` is empty"),
        ({"path": ""}, "`path` must be a directory"),
        ({"path": "a\0b"}, "`path` must be a directory"),
        ({"uri": "notes://all"}, r"`uri` is 'notes://all', but must be a template such as"),
        ({"uri": "notes://{+path}"}, "`uri` is"),
        ({"uri": "notes://all/{path}"}, "`uri` is"),
        ({"uri": "notes://all/{+path}.md"}, "`uri` is"),
        ({"uri": "notes://{x}/{+path}"}, "`uri` is"),
        ({"uri": "notes/{+path}"}, "`uri` is"),
        ({"uri": "notes://a b/{+path}"}, "spaces"),
        ({"include": []}, "`include` is empty"),
        ({"include": ["../*"]}, "`include`: '../\\*' is no pattern"),
        ({"exclude": [""]}, "`exclude`: '' is no pattern"),
        ({"exclude": ["a//b"]}, "`exclude`: 'a//b' is no pattern"),
        ({"exclude": ["x" * 201]}, "`exclude`: 'xxx"),
        ({"max_files": 0}, "`max_files` is 0, but must be between 1 and 1000000"),
        ({"max_size": 10**9}, "`max_size` is 1000000000"),
        ({"settle": "1ms"}, "`settle` is 0.001 s, but must be between 0.01 s and 10 s"),
        ({"every": "500ms"}, "`every` is 0.5 s"),
        ({"linger": "31d"}, "`linger` is 31 days"),
        ({"foo": 1}, "unknown field `foo`"),
    ],
)
def test_what_is_wrong_is_named(wrong: Mapping[str, object], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        convert({**LEAST, **wrong})


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("a.md", "files://docs/a.md"),
        ("a/b c.md", "files://docs/a/b%20c.md"),
        ("50%.md", "files://docs/50%25.md"),
        ("%20", "files://docs/%2520"),
        ("what?#.md", "files://docs/what%3F%23.md"),
        ("ä\n", "files://docs/%C3%A4%0A"),
        ("C:\\x", "files://docs/C%3A%5Cx"),
        ("a=b&c+d", "files://docs/a%3Db%26c%2Bd"),
    ],
)
def test_a_uri_is_clean_and_leads_back_to_its_path(path: str, uri: str) -> None:
    settings = convert(LEAST)
    assert settings.uri_of(path) == uri
    check_uri(uri)
    assert UriTemplate(settings.template()).match(uri) == {"path": path}


def test_a_name_that_is_no_host_and_a_uri_of_ones_own() -> None:
    assert convert({**LEAST, "name": "my docs/ä"}).uri_of("a") == "files://my%20docs%2F%C3%A4/a"
    assert convert({**LEAST, "uri": "file:///srv/{+path}"}).uri_of("a/b") == "file:///srv/a/b"
    assert convert({**LEAST, "uri": "notes://x/y/{+path}"}).uri_of("a") == "notes://x/y/a"
