"""Which `Host` and which `Origin` a request may carry.

A server on a loopback address is open to every web page that its user visits: the page's script may connect to it
(WebSockets know no same-origin rule), and with DNS rebinding under a name of the page's choosing. So a request
must name a host that is known here, and its origin, if a browser sent one, must be one too (MCP's Streamable HTTP
requires servers to check `Origin` for the same reason).
"""

from collections.abc import Collection, Sequence
from urllib.parse import urlsplit

__all__ = ["HostCheck"]

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class HostCheck:
    """The hosts and origins that are let in. Immutable but for `allow_host`.

    Args:
        allowed_hosts: names with a port (`mcp.example.org:8443`) or, for any port, without one; IPv6 addresses in
            brackets; `*` for every host. None: the loopback names, and what `allow_host` adds.
        allowed_origins: origins (`https://app.example.org`) let in beside the loopback hosts' own; `*` for every
            origin, `null` for the origin that browsers call so.
    """

    def __init__(self, allowed_hosts: Collection[str] | None, allowed_origins: Collection[str]) -> None:
        self._only_known = allowed_hosts is None
        self._hosts = {host.lower() for host in (_LOOPBACK if allowed_hosts is None else allowed_hosts)}
        self._origins = {origin.lower().rstrip("/") for origin in allowed_origins}

    def allow_host(self, host: str) -> None:
        """Let in the address that was bound, if no list of hosts was given. Wildcard addresses add nothing: they
        say nothing about the names that clients use.
        """
        if self._only_known and host not in ("", "0.0.0.0", "::"):
            self._hosts.add(f"[{host.lower()}]" if ":" in host else host.lower())

    def hosts_allowed(self, hosts: Sequence[str]) -> bool:
        """Whether a request that names these hosts (in `Host`, in its target) is let in; one that names none
        (HTTP/1.0) only where every host is.
        """
        return "*" in self._hosts or (bool(hosts) and all(map(self._known, hosts)))

    def _known(self, host: str) -> bool:
        host = host.lower()
        return host in self._hosts or _without_port(host) in self._hosts

    def origin_allowed(self, origin: str | None) -> bool:
        """Whether a request with this `Origin` is let in; one without is not a web page's."""
        if origin is None or "*" in self._origins or origin.lower() in self._origins:
            return True
        try:
            parts = urlsplit(origin.lower())
        except ValueError:
            return False
        return parts.scheme in ("http", "https") and _without_port(parts.netloc) in _LOOPBACK


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    bare = ":" not in name or (name.startswith("[") and name.endswith("]"))
    return name if colon and port.isdecimal() and bare else host
