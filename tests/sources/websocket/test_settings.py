"""Settings of a WebSocket source: what is wrong is said by name, before anything runs."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping

import msgspec
import pytest

from mcptrio.config.shape import faults
from mcptrio.sources.websocket import WebsocketSettings
from tests.sources.websocket.service import made

ROUTE = {"uri": "chat://all"}
LEAST = {"kind": "websocket", "name": "chat", "url": "ws://127.0.0.1:8000/", "route": [ROUTE]}

WRITTEN = """
[[source]]
kind = "websocket"
name = "chat"
url = "wss://chat.example.org/api/v4/websocket"
headers = { Authorization = { env = "CHAT_TOKEN" } }
subprotocols = ["chat.v2"]
first = ["hello", { action = "auth", data = { token = { env = "CHAT_TOKEN" } } }]
type = "/event"
id = "/seq"
data = "/data"
ping = "20s"

[[source.route]]
type = "posted"
uri = "chat://{channel}/posts/{post}"
values = { channel = "/data/channel_id", post = "/data/id" }

[[source.route]]
type = "post_deleted"
uri = "chat://{channel}/posts/{post}"
values = { channel = "/data/channel_id", post = "/data/id" }
change = "deleted"

[[source.route]]
uri = "chat://everything-else"
data = ""

[[source]]
kind = "websocket"
name = "other"
url = "ws://127.0.0.1:1/"

[[source.route]]
uri = "other://last"
"""


def convert(written: Mapping[str, object]) -> WebsocketSettings:
    return msgspec.convert(written, WebsocketSettings)


def test_the_least_settings_are_enough() -> None:
    settings = convert(LEAST)
    assert (settings.linger, settings.always, settings.data) == ("30s", False, "")
    assert settings.uris() == ("chat://all",)
    assert settings.endpoint().target == "/"


def test_it_is_written_in_toml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_TOKEN", "hush")
    chat, other = (convert(each) for each in tomllib.loads(WRITTEN)["source"])
    assert chat.uris() == ("chat://{channel}/posts/{post}", "chat://everything-else")
    assert chat.revealed_headers() == {"authorization": "hush"}
    assert chat.revealed_first() == ("hello", '{"action":"auth","data":{"token":"hush"}}')
    assert [route.type for route in other.route] == ["*"]


def route(**settings: object) -> dict[str, object]:
    return {"route": [{**ROUTE, **settings}]}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": ""}, "`name` is empty"),
        ({"url": "http://example.org/"}, "`url` must be a ws or wss URL"),
        ({"url": "wss:///x"}, "`url` must be a ws or wss URL"),
        ({"url": "wss://u:hush@example.org/x"}, "`url` must be a ws or wss URL"),
        ({"url": "wss://example.org:99999/x"}, "`url` must be a ws or wss URL"),
        ({"url": "wss://example.org/a b"}, "`url` must be a ws or wss URL"),
        ({"url": "wss://[::1/"}, "`url` must be a ws or wss URL"),
        ({"route": []}, "`route` is empty"),
        (route(type="posted"), "`type` is missing: there is a route for 'posted'"),
        ({"route": [ROUTE, ROUTE]}, r"`route` has events of type '\*' go to chat://all twice"),
        (route(type=""), "`type` is empty"),
        (route(uri="all"), "`uri`: "),
        (route(uri="chat://{a"), "`uri`: .*a brace has no partner"),
        (route(uri="chat://{a}"), '`values` has no a, which is in `uri`: say where .* a = "/data/a"'),
        (
            route(uri="chat://{from}", values={"from": "/a"}),
            "a variable cannot be called from: call it from_",
        ),
        (route(values={"a": "/a"}), "`values` has 'a', which is no variable of `uri`"),
        (route(uri="chat://{a}", values={"a": "a"}), "`values`: a: 'a' is no JSON pointer"),
        (route(data="x"), "`data`: 'x' is no JSON pointer"),
        (route(change="made"), "Invalid enum value 'made'"),
        (route(tipe="x"), "unknown field `tipe`"),
        ({"type": "event"}, "`type`: 'event' is no JSON pointer"),
        ({"id": "~"}, "`id`: '~' is no JSON pointer"),
        ({"data": "/~2"}, "`data`: '/~2' is no JSON pointer"),
        ({"headers": {"Sec-WebSocket-Key": "x"}}, "Sec-WebSocket-Key is set by the WebSocket itself"),
        ({"headers": {"X": "a\nb"}}, "the value of X"),
        ({"subprotocols": ["a b"]}, "`subprotocols`: 'a b' is no name of one"),
        ({"subprotocols": ["a", "a"]}, "`subprotocols` has one of them twice"),
        ({"first": [{"env": ""}]}, "`first`: a secret is either"),
        ({"first": [7]}, "Expected `str | object`"),
        ({"timeout": 0}, "`timeout` is 0 s"),
        ({"ping": "1ms"}, "`ping` is 0.001 s"),
        ({"ping_timeout": "2h"}, "`ping_timeout` is 7200 s"),
        ({"reconnect": 0}, "`reconnect` is 0 s"),
        ({"reconnect": "5m"}, "`reconnect_max` is 60 s, but must be between 300 s"),
        ({"max_size": 0}, "`max_size` is 0"),
        ({"keep": 0}, "`keep` is 0"),
        ({"keep_bytes": 1 << 40}, "`keep_bytes` is "),
        ({"remember": 0}, "`remember` is 0"),
        ({"linger": -1}, "`linger`: -1"),
        ({"pong": "1s"}, "unknown field `pong`"),
    ],
)
def test_what_cannot_work_is_refused_by_name(wrong: Mapping[str, object], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message) as caught:
        convert({**LEAST, **wrong})
    assert "hush" not in str(caught.value)


def test_no_secret_is_in_any_form_of_repr() -> None:
    settings = made(
        url="wss://example.org/x?key=hush", headers={"X-Key": "hush", "A": {"env": "TOKEN"}}, first=["hush"]
    )
    for shown in (repr(settings), str(settings), repr(settings.__rich_repr__())):
        assert "hush" not in shown
        assert "TOKEN" in shown


def test_a_fault_is_told_with_its_place_in_the_file() -> None:
    [chat, _] = tomllib.loads(WRITTEN)["source"]
    assert list(faults(chat, WebsocketSettings)) == []
    chat["route"][1]["values"]["post"] = "id"
    chat["route"][2]["change"] = "deletd"
    assert [(fault.path, fault.message) for fault in faults(chat, WebsocketSettings)] == [
        (("route", 1, "values"), "post: 'id' is no JSON pointer: it must be empty or begin with '/'"),
        (("route", 2, "change"), "`deletd` is none of its values; did you mean `deleted`?"),
    ]
