"""Others are let in only with a token, or with a word that this is meant."""

from __future__ import annotations

import pytest

from mcptrio.access import Exposed, check_exposure, is_loopback

NEAR = ["127.0.0.1", "127.8.0.1", "localhost", "LOCALHOST", "::1", "[::1]"]
FAR = ["", "0.0.0.0", "::", "192.168.1.5", "mcp.example.org", "localhost.example.org"]


@pytest.mark.parametrize("host", NEAR)
def test_this_machine_alone_reaches_a_loopback_address(host: str) -> None:
    assert is_loopback(host)
    check_exposure(host, tokens=False, anonymous=False, fix="")


@pytest.mark.parametrize("host", FAR)
def test_an_address_that_others_reach_wants_tokens_or_the_word(host: str) -> None:
    assert not is_loopback(host)
    check_exposure(host, tokens=True, anonymous=False, fix="")
    check_exposure(host, tokens=False, anonymous=True, fix="")
    with pytest.raises(Exposed) as caught:
        check_exposure(host, tokens=False, anonymous=False, fix="do this")
    assert str(caught.value).startswith(host or "every address")
    assert str(caught.value).endswith(": do this")
