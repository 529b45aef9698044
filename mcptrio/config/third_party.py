"""Kinds of source that somebody else brings: named by `package.module:name`, or by the word of an installed package."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import msgspec
from msgspec import Struct

from mcptrio.config.importing import CannotImport, import_named, place, said
from mcptrio.config.kind import KEY, Kind
from mcptrio.config.shape import proposal
from mcptrio.masking import mask_text
from mcptrio.sources import Registry

GROUP = "mcptrio.sources"
"""The group of entry points by which a package gives its kinds words of their own."""


class NoKind(Exception):
    """There is no such kind of source, or it cannot be used; the text says what to change."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A kind that an installed package offers: `package` is its name and version."""

    package: str
    reference: str


def offered() -> dict[str, tuple[Offer, ...]]:
    """What the installed packages offer, by word. Reads their metadata and imports none of them."""
    from importlib.metadata import entry_points  # takes a while, and most files name built-in kinds

    found: dict[str, set[Offer]] = {}
    for each in entry_points(group=GROUP):
        package = "a package" if each.dist is None else f"{each.dist.name} {each.dist.version}"
        reference = each.value.partition("[")[0].replace(" ", "")
        found.setdefault(each.name, set()).add(Offer(package, reference))
    return {word: tuple(sorted(offers, key=repr)) for word, offers in found.items()}


def kind_of_package(word: str, offers: Sequence[Offer]) -> Kind:
    """The kind that an installed package offers.

    Raises:
        NoKind: several packages offer this word, or it cannot be used.
    """
    first = offers[0]
    if len(offers) > 1:
        packages = " and ".join(f"{each.package} (`{each.reference}`)" for each in offers)
        raise NoKind(f'`{word}` is a kind of {packages}: say which one, such as kind = "{first.reference}"')
    try:
        return kind_at(first.reference)
    except NoKind as error:
        raise NoKind(f"`{word}` is `{first.reference}` of {first.package}, but {error}") from None


def kind_at(reference: str) -> Kind:
    """The kind that `package.module:name` installs. The working directory is looked in last.

    Raises:
        NoKind: it cannot be imported, or is no install function; the text says what to change.
    """
    module_name, _, attribute = reference.partition(":")
    if not all(part.isidentifier() for part in f"{module_name}.{attribute}".split(".")):
        raise NoKind(f"`{reference}` names no install function: write `package.module:name`")
    install = _found(module_name, attribute)
    settings = _settings_of(install, reference)
    _check_settings(settings, f"{settings.__module__}.{settings.__qualname__}")
    return Kind(settings, partial(_install, install, reference), lambda value: (), reference=reference)


def _found(module_name: str, attribute: str) -> Callable[..., object]:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    top = module_name.partition(".")[0]
    try:
        found = import_named(
            module_name, fix=f"install its package, start mcptrio where {top}.py is, or set PYTHONPATH"
        )
    except CannotImport as error:
        raise NoKind(str(error)) from None
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            known = [
                each for each, value in vars(sys.modules[module_name]).items() if _defined(value, module_name)
            ]
            what = proposal(attribute, known) if known else ": write its `def install(registry, settings)`"
            raise NoKind(f"{module_name} has no `{attribute}`{what}") from None
    if not callable(found):
        raise NoKind(
            f"{module_name}:{attribute} is of type {type(found).__name__} and cannot be called: "
            "name a function `def install(registry, settings)`"
        )
    return found


def _defined(value: object, module_name: str) -> bool:
    """Whether a module's own attribute may be what was meant."""
    return (
        inspect.isfunction(value) and value.__module__ == module_name and not value.__name__.startswith("_")
    )


def _settings_of(install: Callable[..., object], reference: str) -> type[Struct]:
    """The type that the second parameter is annotated with."""
    if any(map(inspect.iscoroutinefunction, (install, _code_of(install)))):
        raise NoKind(f"{reference} is async: it is called before anything runs, so make it a plain `def`")
    try:
        parameters = list(inspect.signature(install).parameters.values())
    except (TypeError, ValueError):
        raise NoKind(f"{reference} does not show its parameters: name a function of Python") from None
    taken = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    more = [
        each
        for each in parameters
        if each not in taken[:2]
        and each.default is each.empty
        and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    if len(taken) < 2 or more:
        names = ", ".join(each.name for each in parameters)
        raise NoKind(f"{reference} is called with a registry and its settings, but takes ({names})")
    name, annotation = taken[1].name, taken[1].annotation
    such = f"annotate it with the msgspec.Struct of its settings, such as `{name}: Settings`"
    if annotation is inspect.Parameter.empty:
        raise NoKind(f"the parameter `{name}` of {reference} has no annotation: {such}")
    try:
        # Of this parameter alone: others may have annotations that are there for type checkers only.
        hints = typing.get_type_hints(
            SimpleNamespace(__annotations__={name: annotation}),
            globalns=getattr(_code_of(install), "__globals__", {}),
        )
    except Exception as error:
        raise NoKind(
            f"the annotation of `{name}` of {reference} cannot be resolved ({said(error)}): the Struct of its settings "
            "must be in its module when it is imported, not in a function nor under TYPE_CHECKING"
        ) from None
    found = hints[name]
    if not (isinstance(found, type) and issubclass(found, Struct)):
        shown = found.__name__ if isinstance(found, type) else str(found)
        raise NoKind(f"the parameter `{name}` of {reference} is a {shown}, and no msgspec.Struct: {such}")
    return found


def _code_of(function: object) -> object:
    """The function behind a callable: its annotations are written in the names of that one's module."""
    while isinstance(function, partial):
        function = function.func
    if isinstance(function, type):
        return vars(function).get("__init__", function)
    if not hasattr(function, "__globals__"):
        return vars(type(function)).get("__call__", function)
    return inspect.unwrap(typing.cast("Callable[..., object]", function))


def _check_settings(settings: type[Struct], shown: str) -> None:
    if settings.__struct_config__.array_like:
        raise NoKind(f"{shown} is array_like, but settings are a table: leave array_like out")
    try:
        msgspec.json.Decoder(settings)
        fields = {each.encode_name: each for each in msgspec.structs.fields(settings)}
    except Exception as error:
        raise NoKind(f"{shown} cannot be read from a file: {said(error)}") from None
    if "name" not in fields:
        raise NoKind(f"{shown} has no `name`: add `name: str`, by which people tell sources apart")
    wanted = fields["name"].type
    if typing.get_origin(wanted) is typing.Annotated:
        wanted = typing.get_args(wanted)[0]
    if wanted is not str:
        raise NoKind(f"the `name` of {shown} must be text: write `name: str`")
    if KEY in fields:
        raise NoKind(f"{shown} has a field `{KEY}`, but that key names the kind: call the field otherwise")


def _install(install: Callable[..., object], reference: str, registry: Registry, settings: Struct) -> None:
    """Install, with whatever is raised as a ValueError that a person can do something about."""
    try:
        install(registry, settings)
    except ValueError as error:
        text = mask_text(str(error))
        raise ValueError(text or f"{reference} refuses its settings{place(error)}") from error
    except SystemExit as error:
        raise ValueError(f"{reference} ended the program: {error!r}{place(error)}") from None
    except Exception as error:
        raise ValueError(f"{reference} failed: {said(error)}{place(error)}") from error
