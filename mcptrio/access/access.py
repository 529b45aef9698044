"""What is asked for every request: who is it?"""

from __future__ import annotations

import re

from mcptrio.access.rate import RateLimit
from mcptrio.access.tokens import Tokens

_CHALLENGE = 'Bearer realm="mcptrio"'
_CREDENTIALS = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)


class Unauthorized(Exception):
    """Nobody who is let in. The text is fit for the client; `challenge` is the value of `WWW-Authenticate`."""

    def __init__(self, message: str, challenge: str) -> None:
        super().__init__(message)
        self.challenge = challenge


class Access:
    """Who may come in, and how often. Without tokens everybody may, and is nobody in particular.

    `tokens` and `rate` may be replaced while it is in use: what is asked next goes by them.
    """

    def __init__(self, tokens: Tokens | None = None, rate: RateLimit | None = None) -> None:
        self.tokens = tokens
        self.rate = rate
        """What `take` is asked of for each request, by principal or address; None: no limit."""

    def authenticate(self, authorization: str | None) -> str | None:
        """The principal of a request with this `Authorization`; None where no tokens are configured.

        Several fields, joined by commas as HTTP has it, are no credential.

        Raises:
            Unauthorized: there are tokens, and this is none of them.
        """
        if self.tokens is None:
            return None
        if authorization is None:
            raise Unauthorized("a bearer token is needed", _CHALLENGE)
        credentials = _CREDENTIALS.fullmatch(authorization.strip(" \t"))
        principal = credentials and self.tokens.principal_of(credentials[1])
        if principal is None:
            raise Unauthorized(
                "this is no bearer token that is known here", f'{_CHALLENGE}, error="invalid_token"'
            )
        return principal
