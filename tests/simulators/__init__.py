"""Simulators: seeded, bounded, and real enough."""
