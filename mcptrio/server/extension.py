"""The extension `io.mcptrio/live` as it is served: what it is declared to be, and how its subscriptions are read."""

from __future__ import annotations

from typing import TypeGuard

import msgspec
from msgspec import UnsetType

from mcptrio.catalog import Catalog
from mcptrio.live import Selector, Terms, allowance, filter
from mcptrio.live.terms import InvalidTerms, parse_terms
from mcptrio.protocol import Failure, Refusal, RpcError
from mcptrio.protocol.extension import EXTENSION, SUBSCRIPTION_URI, SUBSCRIPTIONS_KEY
from mcptrio.protocol.types import Object
from mcptrio.server.settings import ServerSettings


def declaration(settings: ServerSettings) -> Object:
    """What the server's capabilities say of it."""
    limits = {
        "subscriptions": settings.max_selections,
        "pending": allowance.MOST,
        "pendingBytes": allowance.MOST_BYTES,
        "filterNodes": filter.MOST_NODES,
        "filterNodesInAll": settings.max_filter_nodes,
        "filterDepth": filter.MOST_DEPTH,
    }
    return {
        EXTENSION: {
            "version": 1,
            "selectors": ["uri", "template", "glob"],
            "policies": ["conflate", "every", "batch"],
            "limits": limits,
        }
    }


def is_given(raw: msgspec.Raw | UnsetType) -> TypeGuard[msgspec.Raw]:
    """Whether a member is there; null is nothing given, as everywhere."""
    return isinstance(raw, msgspec.Raw) and bytes(raw) != b"null"


def read_terms(raw: msgspec.Raw) -> Terms:
    """The one subscription of a `resources/subscribe`.

    Raises:
        RpcError: -32602, naming the place.
    """
    where = f"_meta.{SUBSCRIPTIONS_KEY}"
    return _checked(_decoded(raw, where), where)


def read_all_terms(raw: msgspec.Raw, most: int) -> list[Terms]:
    """The subscriptions of a listen, of which there may be `most`.

    Raises:
        RpcError: -32602, naming the place; -32603 for too many.
    """
    where = f"notifications.{SUBSCRIPTIONS_KEY}"
    value = _decoded(raw, where)
    if not isinstance(value, list):
        raise _invalid(f"{where}: a list of subscriptions")
    if len(value) > most:
        # Refused before each is looked at, and as one too many is.
        raise too_many_selections(most)
    asked: list[Terms] = []
    labels: dict[str, int] = {}
    for number, each in enumerate(value):
        terms = _checked(each, f"{where}[{number}]")
        former = labels.setdefault(terms.label, number)
        if former != number:
            raise _invalid(f"{where}[{number}].label: that of [{former}], and each is to have its own")
        asked.append(terms)
    return asked


def _decoded(raw: msgspec.Raw, where: str) -> object:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:  # such as 1e999
        raise _invalid(f"{where}: {error}") from None


def _checked(value: object, where: str) -> Terms:
    try:
        return parse_terms(value, where)
    except InvalidTerms as error:
        raise _invalid(str(error)) from None


def too_many_selections(most: int) -> RpcError:
    """The refusal of one subscription of the extension too many on a connection."""
    return RpcError.refused(
        Refusal.SUBSCRIPTION_LIMIT,
        f"Too many subscriptions of {EXTENSION}: at most {most} on one connection",
        limit=most,
    )


def _invalid(message: str) -> RpcError:
    return RpcError.of(Failure.INVALID_PARAMS, f"Invalid params: {message}")


def called(label: str, selector: Selector) -> str:
    """The URI that a subscription goes by where no single change is meant."""
    return selector.text if selector.kind == "uri" else f"{SUBSCRIPTION_URI}{label}"


def could_match(catalog: Catalog, terms: Terms) -> bool:
    """Whether what is served, now or later, may be selected: a pattern is held against the beginnings of all there is."""
    selector = terms.selector
    if selector.is_exact:
        return catalog.could_serve(selector.pattern)
    return catalog.could_serve_below(selector.beginning)
