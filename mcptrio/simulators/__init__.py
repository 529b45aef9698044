"""What the demo and the tests run in place of a real service; everything here is made up, and seeded.

A simulator that is a source is installed like one (`install(registry, settings)`) and owns its state in the
installed object. The others are servers on a loopback port, which own theirs. Simulators stand above the
sources, and no source knows them.
"""

from mcptrio.simulators.email_mock import EmailMockSettings
from mcptrio.simulators.json_feed import JsonFeed, serve_json_feed

__all__ = ["EmailMockSettings", "JsonFeed", "serve_json_feed"]
