"""The SMTP inlet (`kind = "smtp"`): mail that anybody sends to a port, as live resources.

Protocol and limits of a conversation are aiosmtpd's (`conversation` adds the bounds that it has not), in a thread of its own
(`server`); what is in a mail is said by `mcptrio.sources.mail`. `delivery` is the bridge from there to the Trio task of the
`Inlet`, which owns what was taken.
"""

from mcptrio.sources.smtp.inlet import Inlet, LiveFeed, install
from mcptrio.sources.smtp.settings import SmtpSettings

__all__ = ["Inlet", "LiveFeed", "SmtpSettings", "install"]
