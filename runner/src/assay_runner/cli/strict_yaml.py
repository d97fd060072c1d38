"""YAML as `kubectl` reads it, and no more of it than an audit can need.

A few hundred bytes of YAML can stand for billions of values: aliases of lists of aliases. So values are counted while
a document is composed, each alias as what it stands for, and nothing is made of one that holds too many.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

MOST_VALUES: Final = 20_000
"""Keys, values and lists in one document, aliases counted as what they stand for; an audit has about a hundred."""
MOST_IN_ALL: Final = 100_000
"""Of the same in one file."""
MOST_LEVELS: Final = 100
"""Levels of nesting; an audit has about ten, what the cluster adds to it twenty."""
MOST_DIGITS: Final = 200
"""Characters of a number; 64 bits have 67 in base 2, and the time to read one grows with the square of its length."""
_MOST_SHOWN: Final = 40
"""Characters of a value that a sentence quotes."""
_NUMBERS: Final = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_UNREADABLE: Final = (ValueError, IndexError, KeyError, AttributeError, TypeError, OverflowError)


def load_all(text: str) -> list[Any]:
    """The documents of a file.

    Raises:
        yaml.YAMLError: it is no YAML, gives a key twice, or holds too much.
    """
    return list(yaml.load_all(text, _StrictLoader))


class _BoundedLoader(yaml.SafeLoader):
    """YAML of few values, counted before they are made."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._values = 0
        self._before = 0
        self._level = 0
        self._deepest = 0
        self._sizes: dict[yaml.Node, tuple[int, int]] = {}

    def compose_document(self) -> yaml.Node | None:
        self._before += self._values
        self._values = 0
        self._sizes = {}
        return super().compose_document()

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        mark: Any = event.start_mark
        before, above = self._values, self._deepest
        self._level += 1
        self._deepest = 0
        if isinstance(event, yaml.AliasEvent):
            node = super().compose_node(parent, index)
            if node not in self._sizes:
                raise ComposerError(None, None, f"{event.anchor!r} stands inside itself", mark)
            self._grow(*self._sizes[node], mark)
        else:
            self._grow(1, 1, mark)
            node = super().compose_node(parent, index)
            if node is not None:
                self._sizes[node] = self._values - before, self._deepest - self._level + 1
        self._level -= 1
        self._deepest = max(self._deepest, above)
        return node

    def _grow(self, values: int, levels: int, mark: Any) -> None:
        self._values += values
        self._deepest = max(self._deepest, self._level + levels - 1)
        if self._values > MOST_VALUES:
            counted = f"more than {MOST_VALUES} values, with aliases counted as what they stand for"
            raise ComposerError(None, None, f"{counted}; an audit has a hundred", mark)
        if self._before + self._values > MOST_IN_ALL:
            raise ComposerError(None, None, f"more than {MOST_IN_ALL} values in all; split the file", mark)
        if self._deepest > MOST_LEVELS:
            raise ComposerError(None, None, "nested too deeply; an audit has a few levels", mark)


class _StrictLoader(_BoundedLoader):
    """YAML that refuses a key given twice, which plain YAML resolves in silence, and values that belie their tag."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if isinstance(node, yaml.ScalarNode) and node.tag in _NUMBERS and len(node.value) > MOST_DIGITS:
            what = f"is a number of more than {MOST_DIGITS} characters"
            raise ConstructorError(None, None, f"{_shown(node.value)} {what}", node.start_mark)
        try:
            value = super().construct_object(node, deep)
        except _UNREADABLE as error:
            kind = node.tag.rsplit(":", 1)[-1]
            raise ConstructorError(None, None, f"{_what(node)} is no {kind}", node.start_mark) from error
        if isinstance(value, int) and value.bit_length() > 64:
            raise ConstructorError(None, None, f"{_what(node)} is a number of more than 64 bits", node.start_mark)
        return _characters(value, node) if isinstance(value, str) else value

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Hashable, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise ConstructorError(None, None, "expected a mapping", node.start_mark)
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise ConstructorError(None, None, f"key {_shown(key)} stands twice", key_node.start_mark)
            if isinstance(key, Hashable):
                seen.add(key)
        return super().construct_mapping(node, deep)


def _characters(text: str, node: yaml.Node) -> str:
    """The text, whose escapes may write a character as two halves, as JSON has it; a half alone is none."""
    if text.isascii():
        return text
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise ConstructorError(None, None, f"{_shown(text)} holds half a character", node.start_mark) from error


def _what(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        return "a mapping" if isinstance(node, yaml.MappingNode) else "a list"
    return _shown(node.value)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return repr(value if len(value) <= _MOST_SHOWN else f"{value[:_MOST_SHOWN]}…")
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
