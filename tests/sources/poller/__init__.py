"""The HTTP JSON poller."""
