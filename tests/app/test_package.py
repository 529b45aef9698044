"""The package's front page."""

import pytest

import mcptrio


@pytest.mark.parametrize("name", mcptrio.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(mcptrio, name) is not None


def test_another_name_is_not_there() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = mcptrio.nonsense  # type: ignore[attr-defined]
