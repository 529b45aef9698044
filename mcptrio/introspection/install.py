"""Putting it all onto a server."""

from __future__ import annotations

from mcptrio.catalog import ListKind
from mcptrio.introspection.metrics import AlertsCollector
from mcptrio.introspection.observer import Observer
from mcptrio.introspection.resources import PATTERNS, OwnResources
from mcptrio.introspection.updates import Updates
from mcptrio.live import Hub, Pump
from mcptrio.server import Server
from mcptrio.sources import Registry, SourceSpec, SourceTree
from mcptrio.supervision import Reports

NAME = "mcptrio"
"""The source of the updates."""


def install(
    registry: Registry, hub: Hub, pump: Pump, server: Server, sources: SourceTree, reports: Reports
) -> Observer:
    """Observe a server, before it runs, and offer what there is to be seen, unless its settings say not to.

    The metric `mcptrio_alerts` is there in any case. Returns the observer, whose `look()` has the alerts.

    Raises:
        ValueError: there is a source named `mcptrio`, or it was done already.
    """
    observer = Observer(server, hub, pump, sources, reports)
    server.metrics.register(AlertsCollector(lambda: observer.look().counts()))
    if server.settings.introspection:
        resources = OwnResources(server, hub, sources, observer)
        updates = Updates(hub, resources.stamp, resources.listed)
        resources.offer(registry.catalog)
        # Always: it does nothing until somebody subscribes, and so a read does not start and stop it.
        registry.add_source(NAME, updates.run, pattern=PATTERNS, always=True)

        def added(spec: SourceSpec) -> None:
            server.list_changes.changed(ListKind.RESOURCES)
            updates.appeared()

        registry.watch(added)
    return observer
