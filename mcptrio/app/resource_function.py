"""What `@app.resource` makes of a function: still callable, and for a template able to be listed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from mcptrio.app.declared_function import Completable
from mcptrio.catalog import Catalog, DeclarationError, UriTemplate
from mcptrio.catalog.completion import Completions

F = TypeVar("F", bound=Callable[..., object])
G = TypeVar("G", bound=Callable[..., object])


class ResourceFunction(Completable[F]):
    """The function; `uri_for`, which gives URIs; and the decorators `list` and `complete`, for what lists a template's
    resources and what completes its variables.
    """

    def __init__(self, fn: F, uri: str, catalog: Catalog) -> None:
        super().__init__(fn)
        self._catalog = catalog
        self.uri = uri

    def uri_for(self, **values: object) -> str:
        """The URI of one resource of the template, its values percent-encoded: `report.uri_for(city="new york")`.

        Raises:
            TypeError: the values are not those of the template's variables.
        """
        template = UriTemplate(self.uri)
        if set(values) != set(template.variables):
            raise TypeError(f"{self.uri} takes {', '.join(template.variables) or 'no values'}")
        return template.expand({name: str(value) for name, value in values.items()})

    def list(self, fn: G) -> G:
        """Have this function list the template's resources: it returns URIs, values of the only variable, or Resources.

        Raises:
            DeclarationError: this is no template, or the function takes arguments.
        """
        if "{" not in self.uri:
            raise DeclarationError(
                f"{self.uri} is one resource and lists itself: only a template has `.list`"
            )
        self._catalog.set_list(self.uri, cast("Callable[..., object]", fn))
        return fn

    def _completions(self) -> Completions:
        if "{" not in self.uri:
            raise DeclarationError(f"{self.uri} has no variables: only a template has `.complete`")
        return self._catalog.completions(template=self.uri)
