"""Where changes come from: each source is its own file or folder with one `install(registry, settings)`.

A source owns what it has seen in the object that `install` makes, or in its feed's checkpoint: outside its task, so
that a restart forgets nothing. It reports through its `Feed` and never touches the hub, a peer or the server. The
`SourceTree` runs what a `Registry` holds, while somebody wants it: `Demand` decides that. What is exported here is what
sources are written with, those of other packages too (docs/sources.md), and what runs them.
"""

from mcptrio.sources.description import PartDescription, SourceDescription
from mcptrio.sources.duration import Duration, seconds, seconds_between
from mcptrio.sources.outstanding import Outstanding
from mcptrio.sources.registry import Registry
from mcptrio.sources.secret import Secret, SecretMissing, reveal
from mcptrio.sources.spec import LINGER, SourceSpec
from mcptrio.sources.tree import READ_PATIENCE, SourceTree

__all__ = [
    "LINGER",
    "READ_PATIENCE",
    "Duration",
    "Outstanding",
    "PartDescription",
    "Registry",
    "Secret",
    "SecretMissing",
    "SourceDescription",
    "SourceSpec",
    "SourceTree",
    "reveal",
    "seconds",
    "seconds_between",
]
