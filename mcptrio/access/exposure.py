"""Who can reach what listens somewhere, and what has to be said before others can."""

from __future__ import annotations

import ipaddress


class Exposed(ValueError):
    """Others would reach a server that lets everybody in."""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there. Names other than localhost count as reachable."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_exposure(host: str, *, tokens: bool, anonymous: bool, fix: str) -> None:
    """Refuse to listen where others reach it, without tokens and without a word that this is meant.

    Raises:
        Exposed: with `fix`, which says how to give tokens or the word.
    """
    if not (tokens or anonymous or is_loopback(host)):
        raise Exposed(
            f"{host or 'every address'} is reachable from outside, and everybody would be let in: {fix}"
        )
