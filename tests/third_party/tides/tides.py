"""A tide gauge appends a line to its file now and then. The newest is a resource, and each one an update of it."""

import trio
from msgspec import Struct

from mcptrio import Feed, Registry, ResourceNotFound
from mcptrio.sources import Duration, seconds_between


class Gauge(Struct):
    name: str
    file: str
    every: Duration = "10s"


def install(registry: Registry, gauge: Gauge) -> None:
    uri = f"tides://{gauge.name}"
    every = seconds_between("every", gauge.every, 0.1, 3600)  # or a ValueError that names the setting
    seen: list[str] = []  # not in the task: it stays readable while nobody wants the source

    async def newest() -> str:
        if not seen:
            raise ResourceNotFound(uri)
        return seen[-1]

    async def run(feed: Feed) -> None:
        while True:
            text = await trio.Path(gauge.file).read_text()  # what it raises is shown, and it is tried again
            seen[:] = text[: text.rfind("\n") + 1].splitlines()  # a line counts when its end is written
            told = feed.checkpoint if isinstance(feed.checkpoint, int) else len(seen)  # at first: a baseline
            for number in range(told, len(seen)):
                line, version = {"line": seen[number]}, {"version": str(number + 1)}
                await feed.updated(uri, data=line, metadata=version, checkpoint=number + 1)
            feed.checkpoint = len(seen)
            feed.polling()
            await trio.sleep(every)

    registry.catalog.add_resource(uri, newest, name=gauge.name, mime_type="text/plain")
    registry.add_source(gauge.name, run, pattern=uri)
