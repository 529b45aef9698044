"""Tests of the room `mcptrio.wire`."""
