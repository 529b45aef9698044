"""URLs in messages."""

from mcptrio.sources.shown_url import shown_url


def test_a_url_is_shown_without_what_may_be_secret() -> None:
    assert shown_url("https://u:p@example.org:8443/a/b?c=d#e") == "https://example.org:8443/a/b?..."
    assert shown_url("http://example.org/") == "http://example.org/"
