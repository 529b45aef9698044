"""Limits, and the one of the system that is raised."""

import dataclasses
import resource
import sys

import pytest

from mcptrio.wire import Limits, raise_nofile_limit


def test_every_limit_is_finite_and_can_be_set() -> None:
    for field in dataclasses.fields(Limits):
        assert 0 < getattr(Limits(), field.name) < 1e9
        assert getattr(Limits(**{field.name: 7}), field.name) == 7


@pytest.mark.parametrize(
    ("limits", "raised", "result"),
    [
        ((1024, 4096), [(4096, 4096)], 4096),
        ((4096, 4096), [], 4096),
        ((1024, resource.RLIM_INFINITY), [(resource.RLIM_INFINITY,) * 2], sys.maxsize),
    ],
)
def test_the_limit_of_open_files_is_raised_to_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], raised: list[tuple[int, int]], result: int
) -> None:
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda which, new: calls.append(new))
    assert raise_nofile_limit() == result
    assert calls == raised


def test_a_limit_that_cannot_be_raised_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(which: int, new: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert raise_nofile_limit() == 1024
