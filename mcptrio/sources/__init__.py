"""Where changes come from: each source is its own file or folder with one `install(registry, settings)`.

A source owns what it has seen in the object that `install` makes, outside its task, so that a restart
forgets nothing. It reports through its `Feed` and never touches the hub, a peer or the server.
"""

from mcptrio.sources.registry import Registry, SourceSpec

__all__ = ["Registry", "SourceSpec"]
