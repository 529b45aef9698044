"""Who may come in, and how often: bearer tokens and rates. Sans-IO but for reading a file of tokens; knows no Trio.

An `Access` belongs to its App, and whoever takes requests asks it, synchronously, before anything is done for them.
It keeps the digests of tokens and the buckets of its `RateLimit`; nothing here logs, shows or keeps a token.
"""

from mcptrio.access.access import Access, Unauthorized
from mcptrio.access.exposure import Exposed, check_exposure, is_loopback
from mcptrio.access.rate import RateLimit, per_second
from mcptrio.access.tokens import Tokens, TokensRefused

__all__ = [
    "Access",
    "Exposed",
    "RateLimit",
    "Tokens",
    "TokensRefused",
    "Unauthorized",
    "check_exposure",
    "is_loopback",
    "per_second",
]
