"""Resources, templates, their lists, and which URIs could be served."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.catalog import Catalog, Context, DeclarationError, InvalidArgument, ResourceNotFound, ToolError
from mcptrio.protocol import Failure, RpcError
from mcptrio.protocol.types import Resource, ResourceContents

from .captured_logs import captured_logs
from .fake_context import a_context


class Pool:
    names = ("oslo", "são paulo")


async def weather(city: str) -> dict[str, str]:
    """Weather of a city."""
    if city == "nowhere":
        raise ResourceNotFound(f"weather://{city}")
    return {"city": city}


async def item(id: int) -> str:
    """An item by number."""
    return f"item {id}"


def motd() -> str:
    """Message of the day."""
    return "hello"


def a_catalog() -> Catalog:
    catalog = Catalog()
    catalog.declare(Pool)
    catalog.provide(Pool, Pool())
    return catalog


async def text(catalog: Catalog, uri: str) -> str:
    [contents] = await catalog.read(uri, a_context())
    assert contents.uri == uri
    assert isinstance(contents.text, str)
    return contents.text


async def refused(catalog: Catalog, uri: str) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await catalog.read(uri, a_context())
    return caught.value


async def test_a_resource_is_read_by_its_uri() -> None:
    catalog = a_catalog()
    catalog.add_resource("motd://today", motd)
    assert await catalog.read("motd://today", a_context()) == [
        ResourceContents(uri="motd://today", mime_type="text/plain", text="hello")
    ]


async def test_a_template_is_read_with_its_variables_converted() -> None:
    catalog = a_catalog()
    catalog.add_template("weather://{city}", weather)
    catalog.add_template("item://{id}", item)
    assert await text(catalog, "weather://S%C3%A3o") == '{"city":"São"}'
    assert await text(catalog, "item://7") == "item 7"


@pytest.mark.parametrize("uri", ["item://seven", "item://", "weather://nowhere", "other://x", ""])
async def test_a_resource_that_is_not_there_is_not_found(uri: str) -> None:
    catalog = a_catalog()
    catalog.add_template("weather://{city}", weather)
    catalog.add_template("item://{id}", item)
    error = await refused(catalog, uri)
    assert error.failure is Failure.RESOURCE_NOT_FOUND
    assert error.data == {"uri": uri}


async def test_an_exact_uri_comes_first_and_templates_in_order() -> None:
    catalog = a_catalog()

    async def by_name(name: str) -> str:
        return f"named {name}"

    async def later(other: str) -> str:
        return "never"

    catalog.add_template("item://{id}", item)
    catalog.add_template("item://{name}", by_name)
    catalog.add_template("item://{other}", later)
    catalog.add_resource("item://1", motd)
    assert await text(catalog, "item://1") == "hello"
    assert await text(catalog, "item://2") == "item 2"
    assert await text(catalog, "item://two") == "named two"


async def test_absent_query_variables_take_the_default_or_are_not_found() -> None:
    catalog = a_catalog()

    async def page(size: int, after: str = "start") -> str:
        return f"{size} {after}"

    catalog.add_template("page://all{?size,after}", page)
    assert await text(catalog, "page://all?size=3") == "3 start"
    assert await text(catalog, "page://all?after=x&size=3") == "3 x"
    assert (await refused(catalog, "page://all")).failure is Failure.RESOURCE_NOT_FOUND
    assert not catalog.could_serve("page://all")


@pytest.mark.parametrize("uri", ["bad://resource", "bad://template/x"])
@pytest.mark.parametrize(
    ("error", "failure", "message"),
    [
        (
            InvalidArgument("no such day", "day"),
            Failure.INVALID_PARAMS,
            "Invalid argument `day`: no such day",
        ),
        (
            ExceptionGroup("", [ResourceNotFound("x://1")]),
            Failure.RESOURCE_NOT_FOUND,
            "Resource not found: x://1",
        ),
        (ValueError("secret"), Failure.INTERNAL, "Internal error"),
        (ToolError("secret"), Failure.INTERNAL, "Internal error"),
        (RpcError("secret"), Failure.INTERNAL, "Internal error"),
    ],
)
async def test_what_a_resource_raises_is_mapped(
    uri: str, error: Exception, failure: Failure, message: str
) -> None:
    catalog = a_catalog()

    async def resource() -> None:
        raise error

    async def template(name: str) -> None:
        raise error

    catalog.add_resource("bad://resource", resource)
    catalog.add_template("bad://template/{name}", template)
    with captured_logs() as logs:
        answer = await refused(catalog, uri)
    assert (answer.failure, answer.message) == (failure, message)
    if failure is Failure.INTERNAL:
        assert answer.data == {"correlationId": logs[0]["correlation_id"]}
    else:
        assert logs == []


async def test_cancellation_of_a_read_passes_through(autojump_clock: object) -> None:
    catalog = a_catalog()
    catalog.add_resource("slow://x", trio.sleep_forever, name="slow")
    with trio.move_on_after(1) as scope:
        await catalog.read("slow://x", a_context())
    assert scope.cancelled_caught


async def test_resources_and_templates_are_listed_as_declared() -> None:
    catalog = a_catalog()
    catalog.add_resource("motd://today", motd)
    catalog.add_resource("motd://other", motd, name="m", title="M", description="d", mime_type="text/html")
    catalog.add_template("weather://{city}", weather, title="Weather")
    assert list(await catalog.list_resources(a_context())) == [
        Resource(uri="motd://today", name="motd", description="Message of the day.", mime_type="text/plain"),
        Resource(uri="motd://other", name="m", title="M", description="d", mime_type="text/html"),
    ]
    [template] = catalog.templates()
    assert template.uri_template == "weather://{city}"
    assert (template.name, template.title) == ("weather", "Weather")
    assert (template.description, template.mime_type) == ("Weather of a city.", "application/json")


async def test_a_template_lists_uris_values_or_resources() -> None:
    catalog = a_catalog()

    def cities(pool: Pool, context: Context) -> list[str]:
        assert context.principal is None
        return [*pool.names, "weather://rome"]

    async def items() -> list[Resource]:
        return [Resource(uri="item://1", name="first"), Resource(uri="item://1", name="again")]

    catalog.add_template("weather://{city}", weather, list=cities)
    catalog.add_template("item://{id}", item)
    catalog.add_resource("motd://today", motd)
    catalog.set_list("item://{id}", items)
    listed = await catalog.list_resources(a_context())
    assert [(resource.uri, resource.name) for resource in listed] == [
        ("motd://today", "motd"),
        ("weather://oslo", "oslo"),
        ("weather://s%C3%A3o%20paulo", "são paulo"),
        ("weather://rome", "rome"),
        ("item://1", "first"),
    ]
    assert listed[1].description == "Weather of a city."
    assert listed[1].mime_type == "application/json"
    assert await text(catalog, listed[2].uri) == '{"city":"são paulo"}'


async def test_a_uri_without_variables_is_listed_under_the_templates_name() -> None:
    catalog = a_catalog()

    async def page(size: int = 1) -> str:
        return ""

    catalog.add_template("page://all{?size}", page, list=lambda: ["page://all"])
    assert [resource.name for resource in await catalog.list_resources(a_context())] == ["page"]


@pytest.mark.parametrize("items", ["oslo", None, [3], ["no/uri"], ["x\ud800"], ValueError("no")])
async def test_a_template_list_that_fails_is_logged_and_hides_nothing(items: object) -> None:
    catalog = a_catalog()

    async def broken() -> object:
        if isinstance(items, Exception):
            raise items
        return items

    async def pair(a: str, b: str) -> str:
        return a + b

    catalog.add_template("pair://{a}/{b}", pair, list=broken)
    catalog.add_template("weather://{city}", weather, list=lambda: ["oslo"])
    with captured_logs() as logs:
        listed = await catalog.list_resources(a_context())
    assert [resource.uri for resource in listed] == ["weather://oslo"]
    assert [(entry["kind"], entry["handler"]) for entry in logs] == [("template list", "pair://{a}/{b}")]


def test_what_could_be_served_is_known_without_running_anything() -> None:
    catalog = a_catalog()
    catalog.add_resource("motd://today", motd)
    catalog.add_template("item://{id}", item)
    catalog.add_pattern("mail://{folder}/{id}")
    catalog.add_pattern("mail://{folder}/{id}")
    catalog.add_pattern("mail://live-feed")
    for uri in ["motd://today", "item://7", "mail://inbox/1", "mail://live-feed"]:
        assert catalog.could_serve(uri)
    for uri in ["motd://other", "item://seven", "mail://inbox", "x", ""]:
        assert not catalog.could_serve(uri)
    catalog.remove_pattern("mail://{folder}/{id}")
    assert catalog.could_serve("mail://inbox/1")
    catalog.remove_pattern("mail://{folder}/{id}")
    assert not catalog.could_serve("mail://inbox/1")
    with pytest.raises(ValueError, match="no pattern"):
        catalog.remove_pattern("mail://{folder}/{id}")
    with pytest.raises(ValueError, match="scheme"):
        catalog.add_pattern("{x}")


@given(st.text(max_size=40))
def test_any_uri_could_be_served_or_not(uri: str) -> None:
    catalog = a_catalog()
    catalog.add_template("item://{id}", item)
    assert catalog.could_serve(uri) is False
    assert catalog.could_serve("item://" + uri) in (True, False)


def takes_extra(city: str, extra: int) -> str:
    return city


def takes_default(city: str, extra: int = 1) -> str:
    return city


def takes_nothing() -> str:
    return ""


def takes_list(city: list[str]) -> str:
    return ""


@pytest.mark.parametrize(
    ("uri", "function", "message"),
    [
        ("weather://{city}", takes_extra, r"takes_extra: parameter `extra` is no variable"),
        ("weather://{city}", takes_default, r"takes_default: parameter `extra` is no variable.*default"),
        (
            "weather://{city}",
            takes_nothing,
            r"takes_nothing: the template's variable `city` .* add `city: str`",
        ),
        ("weather://{city}", takes_list, r"takes_list: parameter `city` arrives as a string"),
        ("weather://oslo", takes_nothing, r"takes_nothing: .* has no variables; add it as a resource"),
        ("weather://{a}{b}", takes_nothing, r"literal between"),
    ],
)
def test_a_template_that_cannot_be_offered_is_refused(
    uri: str, function: Callable[..., object], message: str
) -> None:
    with pytest.raises(DeclarationError, match=message):
        a_catalog().add_template(uri, function)


@pytest.mark.parametrize(
    ("uri", "function", "message"),
    [
        ("weather://oslo", item, r"item: the resource 'weather://oslo' has no variable for parameter `id`"),
        ("weather://{city}", takes_nothing, r"takes_nothing: .* is a template"),
        ("weather", takes_nothing, r"takes_nothing: .* is no resource URI: .* must begin with a scheme"),
        ("weather://a b", takes_nothing, r"takes_nothing: .* is no resource URI: .* percent-encode"),
    ],
)
def test_a_resource_that_cannot_be_offered_is_refused(
    uri: str, function: Callable[..., object], message: str
) -> None:
    with pytest.raises(DeclarationError, match=message):
        a_catalog().add_resource(uri, function)


def test_a_list_function_takes_no_arguments_and_needs_its_template() -> None:
    catalog = a_catalog()
    catalog.add_template("item://{id}", item)
    with pytest.raises(DeclarationError, match=r"weather: a list function gets no arguments, but has `city`"):
        catalog.set_list("item://{id}", weather)
    with pytest.raises(ValueError, match="no template"):
        catalog.set_list("other://{id}", takes_nothing)


async def test_what_a_server_tells_of_itself_is_listed_after_all_others() -> None:
    catalog = Catalog()

    async def read() -> str:
        return ""

    async def item(id: str) -> str:
        return id

    async def ids() -> list[str]:
        return ["1"]

    catalog.add_resource("mcptrio://a", read)
    catalog.add_template("mcptrio://b/{id}", item, list=ids)
    catalog.add_template("item://{id}", item, list=ids)
    catalog.add_resource("a://b", read)
    listed = await catalog.list_resources(a_context())
    assert [each.uri for each in listed] == ["a://b", "item://1", "mcptrio://a", "mcptrio://b/1"]
    assert [each.uri_template for each in catalog.templates()] == ["item://{id}", "mcptrio://b/{id}"]
