"""Bytes, damaged at random: strategies that make functions of bytes to bytes."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

Mutation = Callable[[bytes], bytes]


def _at(data: bytes, where: float) -> int:
    return int(where * len(data))


_where = st.floats(0, 1, exclude_max=True)

MUTATIONS: st.SearchStrategy[Mutation] = st.one_of(
    st.tuples(_where, st.integers(1, 255)).map(
        lambda m: (
            lambda d: d[: _at(d, m[0])] + bytes([d[_at(d, m[0])] ^ m[1]]) + d[_at(d, m[0]) + 1 :] if d else d
        )
    ),
    st.tuples(_where, st.binary(max_size=20)).map(
        lambda m: lambda d: d[: _at(d, m[0])] + m[1] + d[_at(d, m[0]) :]
    ),
    st.tuples(_where, st.integers(1, 60)).map(
        lambda m: lambda d: d[: _at(d, m[0])] + d[_at(d, m[0]) + m[1] :]
    ),
    st.tuples(_where, st.integers(1, 200)).map(
        lambda m: lambda d: d[: _at(d, m[0]) + m[1]] + d[_at(d, m[0]) :],
    ),
    _where.map(lambda m: lambda d: d[: _at(d, m)]),
)
"""Change a byte, insert some, leave some out, repeat some, or break off."""
