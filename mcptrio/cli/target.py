"""Finds what `mcptrio serve` is to serve: a configuration file, or an App in somebody's module."""

from __future__ import annotations

import difflib
import importlib
import sys
import sysconfig
import traceback
from pathlib import Path

import mcptrio
from mcptrio.app import App
from mcptrio.cli.exits import UserError
from mcptrio.masking import mask_text

_PACKAGE = Path(mcptrio.__file__).parent
_INSTALLED = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]


def is_config(target: str) -> bool:
    """Whether a target names a file rather than `module:app`."""
    if target.endswith(".py"):
        return False
    return target.endswith(".toml") or ("/" in target and ":" not in target) or Path(target).is_file()


def load_app(target: str) -> App:
    """Import `module:app` (`module` alone means `module:app`), with the working directory on the path.

    Raises:
        UserError: there is no such module or App, or the module fails while it is imported.
    """
    module_name, _, attribute = target.partition(":")
    attribute = attribute or "app"
    if module_name.endswith(".py"):
        name = module_name.removesuffix(".py").strip("./").replace("/", ".")
        raise UserError(f"{target} is a file: name the module in it, {name}:{attribute}")
    if not all(part.isidentifier() for part in f"{module_name}.{attribute}".split(".")):
        raise UserError(f"{target!r} is neither a configuration (CONFIG.toml) nor an app (module:app)")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    found = _import(module_name)
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise UserError(f"{module_name} has no `{attribute}`{_proposal(attribute, found)}")
        found = getattr(found, name)
    if not isinstance(found, App):
        raise UserError(f"{module_name}:{attribute} is of type {type(found).__name__}, and no mcptrio.App")
    return found


def _import(name: str) -> object:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if name == missing or name.startswith(f"{missing}."):
            raise UserError(
                f"there is no module {missing}: start mcptrio where {missing.partition('.')[0]}.py is, or set PYTHONPATH"
            ) from None
        raise UserError(f"{name} needs the module {missing}, which is not installed{place(error)}") from None
    except SyntaxError as error:
        raise UserError(f"{error.filename}:{error.lineno}: {error.msg}") from None
    except SystemExit as error:
        raise UserError(f"{name} ended the program while it was imported: {error!r}{place(error)}") from None
    except Exception as error:
        # Whatever it is, it is in their code: say where.
        raise UserError(
            mask_text(f"{name} failed while it was imported: {type(error).__name__}: {error}") + place(error)
        ) from None


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


def _proposal(attribute: str, module: object) -> str:
    apps = sorted(name for name, value in getattr(module, "__dict__", {}).items() if isinstance(value, App))
    close = difflib.get_close_matches(attribute, apps, 1) or apps[:1]
    return f"; did you mean `{close[0]}`?" if close else ": make one with `app = mcptrio.App(...)`"
