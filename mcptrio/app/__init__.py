"""One App is one world: what a program declares, and the ways to run it.

The App owns the hub, the catalog, the registry of sources and the server; the root's tasks belong to whoever runs the app first.
"""

from mcptrio.app.address import Address
from mcptrio.app.app import App
from mcptrio.app.root import RootEnded
from mcptrio.app.run import run

__all__ = ["Address", "App", "RootEnded", "run"]
