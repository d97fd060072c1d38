"""Bytes changed without knowing what they mean."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

_LONGEST: Final = 1 << 20


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Other bytes than `content`, which most often begin like it."""
    made = bytearray(content)
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3, 8]))):
        _once(draw, made)
    return bytes(made[:_LONGEST])


def _once(draw: st.DrawFn, made: bytearray) -> None:
    at = draw(st.integers(0, max(len(made) - 1, 0)))
    how = draw(st.sampled_from(["flip", "set", "set", "cut", "lose", "insert", "repeat", "number", "ones"]))
    if how == "flip" and made:
        made[at] ^= 1 << draw(st.integers(0, 7))
    elif how == "set" and made:
        made[at] = draw(st.integers(0, 255))
    elif how == "cut":
        del made[at:]
    elif how == "lose":
        del made[at : at + draw(st.integers(1, 64))]
    elif how == "insert":
        made[at:at] = draw(st.binary(min_size=1, max_size=16))
    elif how == "repeat":
        made[at:at] = made[at : at + draw(st.integers(1, 64))] * draw(st.sampled_from([1, 2, 50]))
    elif how == "number":
        size = draw(st.sampled_from([1, 2, 4, 8]))
        made[at : at + size] = draw(st.integers(0, 256**size - 1)).to_bytes(size, "little")
    else:
        made[at : at + draw(st.sampled_from([1, 4, 8]))] = b"\xff" * draw(st.sampled_from([1, 4, 8]))
