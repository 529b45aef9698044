"""Bearer tokens and whom each stands for, kept as digests."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import stat
from pathlib import Path

SHORTEST = 16
"""Characters of a token. What is made by a random generator and has so many cannot be guessed over a network."""
LONGEST = 1_024
MOST = 1_000
"""Tokens in one place: each is compared with what a request brings."""
MAX_BYTES = 65_536
"""Size up to which a file is read."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""What RFC 6750 lets a client send."""
_PRINCIPAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_NUMBERED = re.compile(r"token-\d+")


class TokensRefused(ValueError):
    """Tokens that cannot be used; the text names the place and the fix, and shows no token."""


class Tokens:
    """The tokens that are let in, each with its principal. Immutable; holds SHA-256 digests and never a token.

    `doubts` says what was odd about the place they came from, and is no reason to stop.
    """

    def __init__(self, principals: dict[bytes, str], doubts: tuple[str, ...] = ()) -> None:
        self._principals = principals
        self.doubts = doubts

    def __len__(self) -> int:
        return len(self._principals)

    def __repr__(self) -> str:
        return f"<Tokens: {len(self)}>"

    def principal_of(self, token: str) -> str | None:
        """Whom a token stands for; None if it is none of these.

        Takes the same time whichever it is: all of them are compared, each in constant time.
        """
        digest = _digest(token)
        found = None
        for known, principal in self._principals.items():
            if hmac.compare_digest(known, digest):
                found = principal
        return found

    @classmethod
    def parse(cls, text: str, where: str) -> Tokens:
        """Tokens as they are written down: `principal:token` or `token`, one in a line or between commas.

        A line that begins with `#` is a comment. One without a principal stands for `token-1`, `token-2`, ..., by its
        place among all of them. Several tokens may have one principal, so that a token can be replaced.

        Raises:
            TokensRefused: with `where`, the line, and what to change.
        """
        principals: dict[bytes, str] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip().startswith("#"):
                continue
            for entry in filter(None, map(str.strip, line.split(","))):
                try:
                    principal, digest = _read_entry(entry, len(principals) + 1)
                except ValueError as error:
                    raise TokensRefused(f"{where}, line {number}: {error}") from None
                if digest in principals:
                    raise TokensRefused(
                        f"{where}, line {number}: this token is that of {principals[digest]}, too: "
                        "give each its own"
                    )
                principals[digest] = principal
                if len(principals) > MOST:
                    raise TokensRefused(f"{where}: there are more than {MOST} tokens")
        if not principals:
            raise TokensRefused(f"{where}: there is no token: write a line such as alice:{'x' * 8}...")
        return cls(principals)

    @classmethod
    def read(cls, path: Path) -> Tokens:
        """The tokens in a file, as `parse` takes them. One that others may write is refused; one that they may read
        is a doubt. Reads the disk, so call it before things run.

        Raises:
            TokensRefused: the file cannot be read, is open to others' writing, or holds what is no tokens.
        """
        where = f"the file {path}"
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise TokensRefused(f"{where} cannot be read: {error.strerror}") from None
        if stat.S_ISREG(mode) and mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise TokensRefused(f"{where} can be written by others: chmod 600 {path}")
        if len(data) > MAX_BYTES:
            raise TokensRefused(f"{where} has more than {MAX_BYTES} bytes: is it a file of tokens?")
        try:
            found = cls.parse(data.decode("utf-8-sig"), where)
        except UnicodeDecodeError:
            raise TokensRefused(f"{where} is no UTF-8 text") from None
        if stat.S_ISREG(mode) and mode & stat.S_IROTH:
            doubt = f"{where} can be read by every user of this machine: chmod 600 {path}"
            return cls(found._principals, (doubt,))
        return found


def _read_entry(entry: str, place: int) -> tuple[str, bytes]:
    """The principal and the digest of one entry. ValueError says what is wrong, without the token."""
    principal, colon, token = entry.rpartition(":")
    principal, token = principal.rstrip(), token.lstrip()
    if not colon:
        principal = f"token-{place}"
    elif not _PRINCIPAL.fullmatch(principal):
        raise ValueError("a principal is at most 64 letters, digits and . _ @ + -, such as in alice:TOKEN")
    elif _NUMBERED.fullmatch(principal):
        raise ValueError(f"{principal} is the name of a token without a principal: choose another")
    if len(token) < SHORTEST:
        raise ValueError(
            f"the token has fewer than {SHORTEST} characters and could be guessed: "
            "make one with `openssl rand -hex 32`"
        )
    if len(token) > LONGEST:
        raise ValueError(f"the token has more than {LONGEST} characters")
    if not _TOKEN.fullmatch(token):
        raise ValueError("a token is made of letters, digits and - . _ ~ + /, with = only at its end")
    return principal, _digest(token)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
