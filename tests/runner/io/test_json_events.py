"""JSON read in pieces is JSON read at once, wherever the pieces end."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_runner.data.readers.json_events import events

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


class Pieces(io.RawIOBase):
    """A stream that gives a few bytes at a time, as a socket may."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data, self._size, self._at = data, size, 0

    def read(self, size: int = -1, /) -> bytes:
        part = self._data[self._at : self._at + self._size]
        self._at += len(part)
        return part


def leaves(value: Any, path: tuple[int | str, ...] = ()) -> list[tuple[tuple[int | str, ...], Any]]:
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in leaves(inner, (*path, key))]
    if isinstance(value, list):
        return [leaf for place, inner in enumerate(value) for leaf in leaves(inner, (*path, place))]
    return [(path, value.encode() if isinstance(value, str) else value)]


@settings(max_examples=300, deadline=None)
@given(VALUES, st.integers(1, 9), st.sampled_from([None, 2]), st.booleans())
def test_it_finds_what_python_finds(value: Any, size: int, indent: int | None, plain: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=plain).encode()
    found = [(event.path, event.value) for event in events(Pieces(text, size)) if not event.end]  # type: ignore[arg-type]
    assert found == leaves(value)


@pytest.mark.parametrize("text", ["", " ", "[", "{", '{"a"', '{"a":', "[1,", '"a', '"a\\', "[1", '{"a": 1', "tru"])
def test_what_is_cut_off_is_refused(text: str) -> None:
    with pytest.raises((EOFError, ValueError)):
        list(events(Pieces(text.encode(), 2)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["[1,]", "{,}", "[1 2]", "{1: 2}", "[}", "nul", "[] 1", "'a'", "[NaN", "+1", "01", "1.2.3"]
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises((EOFError, ValueError)):
        list(events(Pieces(text.encode(), 3)))  # type: ignore[arg-type]
