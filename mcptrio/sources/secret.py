"""Secrets in settings: where one is to be found, never what it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

MAX_LENGTH = 65_536
"""Longest secret, in bytes, that is taken from a file."""


class SecretMissing(ValueError):
    """A secret is not where the settings say; the text names the place and never the value."""


class Secret(Struct, frozen=True, forbid_unknown_fields=True):
    """A value kept out of the settings: `{ env = "NAME" }` or `{ file = "path" }`.

    It holds the place only, so no repr, log line or dump of settings can show the value.
    """

    env: str | None = None
    file: str | None = None

    def __post_init__(self) -> None:
        if bool(self.env) == bool(self.file):
            raise ValueError('a secret is either { env = "NAME" } or { file = "path" }')

    def reveal(self, environment: Mapping[str, str] | None = None) -> str:
        """The value now, without the blank space around it. Reads a small file, so call it before things run.

        Raises:
            SecretMissing: no such variable or file, or nothing in it.
        """
        if self.env:
            value = (os.environ if environment is None else environment).get(self.env)
            place = f"environment variable {self.env}"
            if value is None:
                raise SecretMissing(f"the {place} is not set")
        else:
            assert self.file is not None
            place = f"file {self.file}"
            value = self._read(Path(self.file))
        value = value.strip()
        if not value:
            raise SecretMissing(f"the {place} is empty")
        return value

    @staticmethod
    def _read(path: Path) -> str:
        try:
            with path.open("rb") as file:
                found = file.read(MAX_LENGTH + 1)
        except OSError as error:
            raise SecretMissing(f"the file {path} cannot be read: {error.strerror}") from None
        if len(found) > MAX_LENGTH:
            raise SecretMissing(f"the file {path} has more than {MAX_LENGTH} bytes: it is no secret")
        try:
            return found.decode()
        except UnicodeDecodeError:
            raise SecretMissing(f"the file {path} is no UTF-8 text") from None


def reveal(value: str | Secret) -> str:
    """A setting that may be written out or kept elsewhere.

    Raises:
        SecretMissing: it is kept elsewhere and not there.
    """
    return value.reveal() if isinstance(value, Secret) else value
