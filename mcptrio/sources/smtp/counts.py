"""What an inlet counts beside its mails."""

from __future__ import annotations

from msgspec import Struct


class Counts(Struct):
    """Since the server's start. Written by the SMTP server's thread, read by any."""

    sessions: int = 0
    refused_sessions: int = 0
    """Connections beyond the bound (421)."""
    refused_recipients: int = 0
    """Too many in one mail (452), or none of ours (550)."""
    refused_size: int = 0
    """Mails beyond the bound of size whose senders went on and on (552); the orderly ones are not counted."""
    refused_busy: int = 0
    """Mails that could not be announced in time, or for which there was no memory (451, 452)."""
    failures: int = 0
    """Commands that ended in an error of ours (451)."""
