"""YAML as `kubectl` reads it, and no more of it than an audit can need.

A few hundred bytes of YAML can stand for billions of values: aliases of lists of aliases. So values are counted while
the file is composed, each alias as what it stands for, and nothing is made of a file that holds too many.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

MOST_VALUES: Final = 20_000
"""Keys, values and lists in one file, aliases counted as what they stand for; an audit has about a hundred."""
MOST_LEVELS: Final = 100
"""Levels of nesting; an audit has about ten, what the cluster adds to it twenty."""
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
        self._level = 0
        self._deepest = 0
        self._sizes: dict[yaml.Node, tuple[int, int]] = {}

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
        if self._deepest > MOST_LEVELS:
            raise ComposerError(None, None, "nested too deeply; an audit has a few levels", mark)


class _StrictLoader(_BoundedLoader):
    """YAML that refuses a key given twice, which plain YAML resolves in silence, and values that belie their tag."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except _UNREADABLE as error:
            kind = node.tag.rsplit(":", 1)[-1]
            raise ConstructorError(None, None, f"{_shown(node)} is no {kind}", node.start_mark) from error
        if isinstance(value, int) and value.bit_length() > 64:
            raise ConstructorError(None, None, f"{_shown(node)} is a number of more than 64 bits", node.start_mark)
        return value

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Hashable, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise ConstructorError(None, None, "expected a mapping", node.start_mark)
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
            if isinstance(key, Hashable):
                seen.add(key)
        return super().construct_mapping(node, deep)


def _shown(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        return "a mapping" if isinstance(node, yaml.MappingNode) else "a list"
    return repr(node.value if len(node.value) <= 40 else f"{node.value[:40]}…")
