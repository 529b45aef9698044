"""The App that the official conformance suite judges: everything that MCP has, each thing in the fewest words.

`./scripts/conformance-server --port 8765` serves it over Streamable HTTP and WebSocket, `--stdio` over stdio. The names
and texts are the suite's; so is the `test_` in front of them. Beside its fixtures there are `live://ticker`, which
changes five times a second, `live://quiet`, which never does, and a tool `add`.
"""

from conformance_server import asking, changing, reading
from conformance_server.application import app

__all__ = ["app", "asking", "changing", "reading"]
