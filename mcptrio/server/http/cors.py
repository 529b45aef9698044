"""What a web page of an allowed origin may do and see (the Fetch standard's CORS protocol).

Which origins are allowed is decided before a request gets here; to all others these fields are never sent.
"""

from __future__ import annotations

Headers = list[tuple[str, str]]

ALLOW = "GET, POST, DELETE, OPTIONS"

_PREFLIGHT = [
    ("Access-Control-Allow-Methods", ALLOW),
    (
        "Access-Control-Allow-Headers",
        "Accept, Authorization, Content-Type, Last-Event-ID, MCP-Protocol-Version, Mcp-Session-Id, Mcp-Method, Mcp-Name",
    ),
    ("Access-Control-Max-Age", "7200"),
]


def cors_headers(origin: str | None) -> Headers:
    """The fields for a response to a page of this origin; none for what is no web page's."""
    if origin is None:
        return []
    return [
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Expose-Headers", "Mcp-Session-Id, WWW-Authenticate, Retry-After"),
        ("Vary", "Origin"),
    ]


def preflight_headers(origin: str | None, asked: str | None) -> Headers:
    """The fields that answer a preflight request; `asked` is its `Access-Control-Request-Headers`.

    `Mcp-Param-...` fields have names that tools choose, so those that are asked for are allowed by name.
    """
    if origin is None:
        return []
    methods, (name, value), age = _PREFLIGHT
    parameters = [field.strip() for field in (asked or "").split(",")]
    value = ", ".join([value, *(field for field in parameters if _is_parameter(field))])
    return [*cors_headers(origin), methods, (name, value), age]


def _is_parameter(field: str) -> bool:
    return (
        field.lower().startswith("mcp-param-")
        and len(field) <= 100
        and field.replace("-", "").isalnum()
        and field.isascii()
    )
