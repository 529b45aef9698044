"""Hostile peers: whatever one sends, it gets at most an error, and nobody else notices."""
