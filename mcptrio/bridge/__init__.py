"""`mcptrio bridge`: a stdio MCP server that carries everything to a server elsewhere and back.

Who owns what: `Core` decides, without Trio, what goes where and what must be said again after a reconnect; a
`Bridge` runs the tasks around it: it reads the host's lines and makes one carrier after the other.
"""

from mcptrio.bridge.bridge import Bridge
from mcptrio.bridge.core import Core
from mcptrio.bridge.telling import CONNECTION_LOST

__all__ = ["CONNECTION_LOST", "Bridge", "Core"]
