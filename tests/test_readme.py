"""What the README shows is run here."""

import ast
import re
from pathlib import Path

import pytest
from trio.testing import MockClock

from mcptrio import App
from mcptrio.config import load

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


async def test_the_first_python_example_serves_and_tells_who_watches(autojump_clock: MockClock) -> None:
    module: dict[str, object] = {"__name__": "weather"}
    exec(compile(blocks("python")[0], "README.md", "exec"), module)
    app = module["app"]
    assert isinstance(app, App)
    async with app.connect() as client, client.subscribe("weather://oslo") as changes:
        result = await client.call_tool("measure", {"city": "oslo", "value": 5.5})
        assert result.structured_content == {"city": "oslo", "celsius": 5.5}
        assert (await anext(changes)).uri == "weather://oslo"
        read = await client.read_resource("weather://oslo")
        assert read.contents[0].text == '{"city":"oslo","celsius":5.5}'


async def test_every_city_can_be_measured(autojump_clock: MockClock) -> None:
    module: dict[str, object] = {"__name__": "weather"}
    exec(compile(blocks("python")[0], "README.md", "exec"), module)
    app = module["app"]
    assert isinstance(app, App)
    async with app.connect() as client:
        result = await client.call_tool("measure", {"city": "new york/é", "value": 1})
        assert result.is_error is not True
        read = await client.read_resource("weather://new%20york%2F%C3%A9")
        assert read.contents[0].text == '{"city":"new york/é","celsius":1.0}'


@pytest.mark.parametrize("block", blocks("python"))
def test_every_python_example_can_be_compiled(block: str) -> None:
    compile(block, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_configuration_examples_are_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEASES_TOKEN", "secret")
    file = tmp_path / "config.toml"
    file.write_text("".join(blocks("toml")))
    config = load(file)
    assert config.server.port == 8765
    assert [source.word for source in config.sources] == ["files", "poller"]


@pytest.mark.parametrize(
    "page", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name
)
def test_every_link_between_the_pages_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_page_is_linked() -> None:
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    assert pages - set(re.findall(r"\]\((docs/[a-z-]+\.md)", README)) == set()
