"""Which hosts and origins are let in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.wire import HostCheck


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:8765", "[::1]", "[::1]:80"]
)
def test_by_default_the_loopback_names_are_let_in_with_any_port(host: str) -> None:
    assert HostCheck(None, ()).hosts_allowed([host])


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "localhost:80:80",
        "localhost:",
        "localhost:x",
        "::1",
        "[::1",
        "127.0.0.2",
        "[::1]:80:80",
        "user@localhost",
    ],
)
def test_by_default_no_other_host_is(host: str) -> None:
    assert not HostCheck(None, ()).hosts_allowed([host])


def test_a_request_that_names_no_host_is_let_in_only_where_all_are() -> None:
    assert not HostCheck(None, ()).hosts_allowed([])
    assert HostCheck(["*"], ()).hosts_allowed([])
    assert HostCheck(["*"], ()).hosts_allowed(["anything at all"])


def test_every_host_that_a_request_names_must_be_known() -> None:
    assert HostCheck(None, ()).hosts_allowed(["localhost", "127.0.0.1:1"])
    assert not HostCheck(None, ()).hosts_allowed(["localhost", "evil.example"])


def test_the_bound_address_is_added_but_to_no_list_and_not_if_it_means_all() -> None:
    check = HostCheck(None, ())
    for address in ("192.0.2.1", "2001:DB8::1", "0.0.0.0", "::", ""):
        check.allow_host(address)
    assert check.hosts_allowed(["192.0.2.1:8765"])
    assert check.hosts_allowed(["[2001:db8::1]:8765"])
    assert not check.hosts_allowed(["0.0.0.0:8765"])
    assert not check.hosts_allowed(["[::]:8765"])
    listed = HostCheck(["mcp.example"], ())
    listed.allow_host("192.0.2.1")
    assert not listed.hosts_allowed(["192.0.2.1"])
    assert not listed.hosts_allowed(["localhost"])


def test_a_listed_host_with_a_port_is_meant_exactly() -> None:
    check = HostCheck(["a.example", "B.example:8443"], ())
    assert check.hosts_allowed(["a.example:1"])
    assert check.hosts_allowed(["b.EXAMPLE:8443"])
    assert not check.hosts_allowed(["b.example"])
    assert not check.hosts_allowed(["b.example:8443:1"])


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("http://localhost", True),
        ("https://LOCALHOST:3000", True),
        ("http://[::1]:1", True),
        ("http://127.0.0.1:8080", True),
        ("https://app.example", True),
        ("https://APP.example", True),
        ("https://app.example:444", False),
        ("http://app.example", False),
        ("https://localhost.evil.example", False),
        ("https://evil.example", False),
        ("file://localhost", False),
        ("null", False),
        ("", False),
        ("http://[", False),
        ("http://localhost@evil.example", False),
    ],
)
def test_origins_are_absent_loopback_or_listed(origin: str | None, allowed: bool) -> None:
    assert HostCheck(None, ["https://app.example/"]).origin_allowed(origin) is allowed


def test_origins_may_be_opened_to_all() -> None:
    assert HostCheck(None, ["*"]).origin_allowed("null")
    assert HostCheck(None, ["null"]).origin_allowed("null")


@given(st.text())
def test_any_text_is_judged_without_an_error(text: str) -> None:
    check = HostCheck(None, ())
    check.hosts_allowed([text])
    check.origin_allowed(text)
