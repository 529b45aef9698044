"""Finds what `mcptrio serve` is to serve: a configuration file, or an App in somebody's module."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

from mcptrio.app import App
from mcptrio.cli.exits import UserError
from mcptrio.config.importing import CannotImport, import_named


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
    top = module_name.partition(".")[0]
    try:
        found = import_named(module_name, fix=f"start mcptrio where {top}.py is, or set PYTHONPATH")
    except CannotImport as error:
        raise UserError(str(error)) from None
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise UserError(f"{module_name} has no `{attribute}`{_proposal(attribute, found)}")
        found = getattr(found, name)
    if not isinstance(found, App):
        raise UserError(f"{module_name}:{attribute} is of type {type(found).__name__}, and no mcptrio.App")
    return found


def _proposal(attribute: str, module: object) -> str:
    apps = sorted(name for name, value in getattr(module, "__dict__", {}).items() if isinstance(value, App))
    close = difflib.get_close_matches(attribute, apps, 1) or apps[:1]
    return f"; did you mean `{close[0]}`?" if close else ": make one with `app = mcptrio.App(...)`"
