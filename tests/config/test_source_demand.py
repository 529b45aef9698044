"""When the sources of a file run: what it says of that, and what is the nature of their kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcptrio.catalog import Catalog
from mcptrio.config import ConfigError, load
from mcptrio.sources import Registry

POLLER = """\
[[source]]
kind = "poller"
name = "{name}"
url = "http://127.0.0.1:8000/{name}.json"
uri = "feed://{name}"
{more}
"""


def installed(path: Path) -> dict[str, tuple[bool, float]]:
    """By name, whether a source always runs and how long it lingers."""
    registry = Registry(Catalog())
    for source in load(path).sources:
        source.kind.install(registry, source.settings)
    return {spec.name: (spec.always, spec.linger) for spec in registry.sources()}


def test_a_poller_runs_by_demand_unless_it_is_told_otherwise_and_mail_comes_in_by_itself(
    tmp_path: Path,
) -> None:
    path = tmp_path / "mcptrio.toml"
    path.write_text(
        POLLER.format(name="plain", more="")
        + POLLER.format(name="patient", more='linger = "10m"')
        + POLLER.format(name="always", more="always = true\nlinger = 0")
        + '[[source]]\nkind = "email_mock"\n'
    )
    assert installed(path) == {
        "plain": (False, 30.0),
        "patient": (False, 600.0),
        "always": (True, 0.0),
        "email": (True, 30.0),
    }


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('linger = "soon"', "source[0].linger: 'soon' is no duration"),
        ("linger = inf", "source[0].linger: inf is no duration"),
        ('always = "yes"', "source[0].always: expected true or false, got text"),
        ("alway = true", "source[0].alway: unknown key; did you mean `always`?"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, more: str, said: str) -> None:
    path = tmp_path / "mcptrio.toml"
    path.write_text(POLLER.format(name="plain", more=more))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert said in str(caught.value)
    assert f"{path}:6" in str(caught.value)
