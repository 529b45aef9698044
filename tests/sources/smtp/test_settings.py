"""Settings: what cannot work is refused by name, and URIs follow from the name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

import msgspec
import pytest

from mcptrio.catalog import Catalog
from mcptrio.sources import Registry
from mcptrio.sources.smtp import SmtpSettings, install


def made(**settings: object) -> SmtpSettings:
    return msgspec.convert({"kind": "smtp", **settings}, SmtpSettings)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"name": ""}, "`name` is empty"),
        ({"name": "My Mail"}, "give both `messages` and `live_feed`"),
        ({"host": "example.org"}, "must be an IP address"),
        ({"host": "0.0.0.0"}, "set `exposed = true`"),
        ({"host": "::"}, "set `exposed = true`"),
        ({"host": "192.0.2.1"}, "set `exposed = true`"),
        ({"port": -1}, "`port` is -1"),
        ({"port": 65_536}, "`port` is 65536"),
        ({"hostname": "a b"}, "`hostname` is 'a b'"),
        ({"hostname": "a\r\n250 OK"}, "`hostname` is"),
        ({"messages": "mail://all"}, "needs the variable {id}"),
        ({"messages": "mail://{user}/{id}"}, "needs the variable {id}, once"),
        ({"messages": "mail://{+id}"}, "must have its variable as {id}"),
        ({"live_feed": "mail://{x}"}, "`live_feed` has variables"),
        ({"live_feed": "mail://messages/feed"}, "looks like the URI of a message"),
        ({"live_feed": "no uri"}, "URI"),
        ({"recipients": ["nobody"]}, "neither an address nor @domain"),
        ({"max_size": 10}, "`max_size` is 10"),
        ({"max_sessions": 0}, "`max_sessions` is 0"),
        ({"max_recipients": 0}, "`max_recipients` is 0"),
        ({"timeout": "0s"}, "`timeout` is 0 s"),
        ({"timeout": "soon"}, "`timeout`: 'soon' is no duration"),
        ({"session_timeout": "2d"}, "`session_timeout` is"),
        ({"patience": "1h"}, "`patience` is"),
        ({"queue": 0}, "`queue` is 0"),
        ({"keep": 0}, "`keep` is 0"),
        ({"keep_bytes": 1000}, "`keep_bytes` is 1000, but must be at least `max_size`"),
        ({"keep_for": "0s"}, "`keep_for` is 0 s"),
        ({"max_attachment": 6_000_000}, "`max_attachment` is 6000000"),
        ({"kep": 1}, "unknown field `kep`"),
    ],
)
def test_what_cannot_work_is_refused_by_name(wrong: Mapping[str, object], text: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        made(**wrong)
    assert text in str(caught.value)


def test_uris_follow_from_the_name() -> None:
    assert made().uris() == (
        "mail://live-feed",
        "mail://messages/{id}",
        "mail://messages/{id}/attachments/{number}",
    )
    assert made(name="post").message_uri(7) == "post://messages/7"
    assert made(name="Post!", messages="x://m/{id}", live_feed="x://feed").uris() == (
        "x://feed",
        "x://m/{id}",
        "x://m/{id}/attachments/{number}",
    )


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine_needs_no_word_more(host: str) -> None:
    assert made(host=host).address.is_loopback


def test_elsewhere_may_be_listened_on_when_it_is_meant() -> None:
    assert str(made(host="0.0.0.0", exposed=True).address) == "0.0.0.0"


def test_installing_offers_the_resources_and_a_task_that_always_runs() -> None:
    registry = Registry(Catalog())
    install(registry, made(name="post"))
    for uri in ("post://live-feed", "post://messages/7", "post://messages/7/attachments/1"):
        assert registry.catalog.could_serve(uri)
    assert not registry.catalog.could_serve("post://other")
    [spec] = registry.sources()
    assert (spec.name, spec.always) == ("post", True)
    with pytest.raises(ValueError, match="post"):
        install(registry, made(name="post"))


def test_two_of_other_names_live_side_by_side() -> None:
    registry = Registry(Catalog())
    install(registry, made(name="post"))
    install(registry, made(name="mail", port=8026))
    assert len(registry.sources()) == 2


def test_nothing_heavy_is_loaded_before_it_runs() -> None:
    code = "import sys, mcptrio.sources.smtp; print([m for m in ('aiosmtpd', 'email.parser') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
