"""The words that name a kind of source: built-in ones, and those of installed packages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcptrio.config import kinds, load, third_party
from mcptrio.config.kinds import KINDS, Kinds
from mcptrio.simulators import EmailMockSettings
from tests.config.third_parties import GOOD, Workplace, forgetting_workplace, installed, problems, source

POLLER = "url = 'http://x/'\nuri = 'a://b'\n"


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    yield from forgetting_workplace(tmp_path, monkeypatch)


def test_a_source_is_found_by_the_word_of_an_installed_package(workplace: Workplace) -> None:
    workplace.package("acme", "wx_acme", GOOD, wx_tides="wx_acme:install")
    file = workplace.config(source("wx_tides"))
    [found] = load(file).sources
    assert (found.word, found.kind.reference) == ("wx_tides", "wx_acme:install")
    assert [each.name for each in installed(file).sources()] == ["mine"]
    assert Kinds().words() == sorted([*KINDS, "wx_tides"])


def test_a_built_in_word_wins_and_the_other_is_reported(workplace: Workplace) -> None:
    workplace.package("acme", "wx_acme", GOOD, email_mock="wx_acme:install", wx_tides="wx_acme:install")
    config = load(workplace.config(source("email_mock")))
    assert isinstance(config.sources[0].settings, EmailMockSettings)
    assert [str(each) for each in config.doubts()] == [
        "mcptrio.toml:3: source[0].kind: `email_mock` is the built-in kind; the same word of acme 1.0 (`wx_acme:install`) "
        'is not used: for that one write kind = "wx_acme:install"'
    ]
    assert (
        load(workplace.config(source("wx_tides") + source("poller").replace("mine", "p") + POLLER)).doubts()
        == ()
    )


def test_a_word_of_two_packages_is_none_until_it_is_said_which(workplace: Workplace) -> None:
    workplace.package("acme", "wx_acme", GOOD, wx_tides="wx_acme:install")
    workplace.package("base", "wx_base", GOOD, wx_tides="wx_base:install")
    assert problems(workplace.config(source("wx_tides"))) == [
        "mcptrio.toml:3: source[0].kind: `wx_tides` is a kind of acme 1.0 (`wx_acme:install`) and base 1.0 "
        '(`wx_base:install`): say which one, such as kind = "wx_acme:install"'
    ]
    assert len(load(workplace.config(source("wx_base:install"))).sources) == 1


def test_a_package_that_is_broken_is_named(workplace: Workplace) -> None:
    workplace.package("acme", "wx_acme", "", wx_tides="wx_acme:install", wx_half="wx_acme")
    told = problems(workplace.config(source("wx_tides") + source("wx_half")))
    assert told == [
        "mcptrio.toml:3: source[0].kind: `wx_tides` is `wx_acme:install` of acme 1.0, but there is no module wx_acme: "
        "install its package, start mcptrio where wx_acme.py is, or set PYTHONPATH",
        "mcptrio.toml:8: source[1].kind: `wx_half` is `wx_acme` of acme 1.0, but `wx_acme` names no install function: "
        "write `package.module:name`",
    ]


def test_a_word_that_nobody_knows_is_told_with_what_was_probably_meant(workplace: Workplace) -> None:
    workplace.package("acme", "wx_acme", GOOD, wx_tides="wx_acme:install")
    assert problems(workplace.config(source("wx_tide"))) == [
        "mcptrio.toml:3: source[0].kind: there is no kind `wx_tide`; did you mean `wx_tides`?"
    ]


def test_a_kind_of_a_package_that_is_not_named_is_not_imported(workplace: Workplace) -> None:
    workplace.package("acme", "wx_acme", "raise AssertionError", wx_tides="wx_acme:install")
    assert len(load(workplace.config(source("email_mock"))).sources) == 1


def test_the_installed_packages_are_looked_through_once_and_only_when_a_word_is_asked_for(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[None] = []

    def offered() -> dict[str, tuple[third_party.Offer, ...]]:
        looked.append(None)
        return third_party.offered()

    monkeypatch.setattr(kinds, "offered", offered)
    workplace.module("wx_mine", GOOD)
    load(workplace.config("[server]\nport = 5\n" + source("wx_mine:install")))
    assert looked == []
    problems(workplace.config(source("email_mock") + source("email_mock") + source("none")))
    assert len(looked) == 1
