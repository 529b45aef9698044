"""Imports what a person has named, and says in words why that cannot be."""

from __future__ import annotations

import importlib
import sysconfig
import traceback
from pathlib import Path

import mcptrio
from mcptrio.masking import mask_text

_PACKAGE = Path(mcptrio.__file__).parent
_INSTALLED = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]


class CannotImport(Exception):
    """A module that cannot be imported; the text says what is wrong with it and where."""


def import_named(name: str, *, fix: str) -> object:
    """Import a module, which runs its code. `fix` says what to do where there is none of that name.

    Raises:
        CannotImport: there is no such module, or it fails while it is imported.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if name == missing or name.startswith(f"{missing}."):
            raise CannotImport(f"there is no module {missing}: {fix}") from None
        raise CannotImport(
            f"{name} needs the module {missing}, which is not installed{place(error)}"
        ) from None
    except SyntaxError as error:
        raise CannotImport(f"{error.filename}:{error.lineno}: {error.msg}") from None
    except SystemExit as error:
        raise CannotImport(
            f"{name} ended the program while it was imported: {error!r}{place(error)}"
        ) from None
    except Exception as error:
        # Whatever it is, it is in their code: say where.
        raise CannotImport(f"{name} failed while it was imported: {said(error)}{place(error)}") from None


def said(error: BaseException) -> str:
    """An error of somebody's code in words, without secrets: its type and its text."""
    return mask_text(f"{type(error).__name__}: {error}".removesuffix(": "))


def place(error: BaseException) -> str:
    """Where in somebody's own code an error was raised, in brackets; nothing if none of it was there.

    That is the last frame outside this package, which only found out, and outside what is installed if there is one.
    """
    outside = [
        each
        for each in traceback.extract_tb(error.__traceback__)
        if "importlib" not in each.filename and not Path(each.filename).is_relative_to(_PACKAGE)
    ]
    own = [
        each for each in outside if not any(map(Path(each.filename).is_relative_to, _INSTALLED))
    ] or outside
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
