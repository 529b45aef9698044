"""Mails, whichever way they came in: what is in one (`parse`), and which ones are kept (`Mailbox`). Sans-IO.

`parsing` loads the standard library's email package: import it where a mail is parsed.
"""

from mcptrio.sources.mail.heading import Heading, metadata_of
from mcptrio.sources.mail.mailbox import Kept, Mailbox, MailboxStatistics, Retention
from mcptrio.sources.mail.message import Attachment, Envelope, Found, Mail, Summary

__all__ = [
    "Attachment",
    "Envelope",
    "Found",
    "Heading",
    "Kept",
    "Mail",
    "Mailbox",
    "MailboxStatistics",
    "Retention",
    "Summary",
    "metadata_of",
]
