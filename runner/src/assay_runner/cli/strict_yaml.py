"""YAML as `kubectl` reads it, and no more of it than an audit can need.

What is wrong with a value or a key is noted, and reading goes on, so that all mistakes of a file are told in one round;
only what is no YAML, or too much of it, ends the reading.

A few hundred bytes of YAML can stand for billions of values: aliases of lists of aliases. So values are counted while
a document is composed, each alias as what it stands for, and nothing is made of one that holds too many.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
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
_MOST_NOTED: Final = 100
"""Mistakes of a file that are noted; who has more will not read them."""
_MERGE: Final = "tag:yaml.org,2002:merge"


@dataclass(frozen=True)
class Mistake:
    """What is wrong with the text of a document; line and column are counted from 1."""

    line: int
    column: int
    what: str

    def told(self) -> str:
        """It, led by where it stands."""
        return f"line {self.line}, column {self.column}: {self.what}"


@dataclass(frozen=True)
class Read:
    """A document as it was read.

    Attributes:
        value: what it holds; None in place of values that cannot be read, and of a document that holds nothing.
        node: its tree, which knows where everything stands; None where the document ended before its end.
        mistakes: keys given twice and values that cannot be read, in their order.
    """

    value: Any
    node: yaml.Node | None
    mistakes: tuple[Mistake, ...]


def load_all(text: str) -> tuple[list[Read], yaml.YAMLError | None]:
    """The documents of a file, and what ended the reading where that was not the end of the file.

    What was wrong before the place where the reading ended is told too, as of a document without value.

    Raises:
        ValueError: a character that YAML does not have.
    """
    loader = _StrictLoader(text)
    found: list[Read] = []
    try:
        while loader.check_node():
            found.append(loader.read())
    except yaml.YAMLError as error:
        if loader.noted:
            found.append(Read(None, None, loader.taken()))
        return found, error
    finally:
        loader.dispose()
    return found, None


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
    """YAML that notes a key given twice, which plain YAML resolves in silence, and values that belie their tag."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.noted: dict[tuple[int, int], Mistake] = {}
        self._keys: dict[int, dict[Hashable, int]] = {}

    def taken(self) -> tuple[Mistake, ...]:
        """What was noted since this was last asked, in the order of the text."""
        noted, self.noted = self.noted, {}
        return tuple(noted[place] for place in sorted(noted))

    def read(self) -> Read:
        """The next document."""
        node: yaml.Node | None = self.get_node()
        value = None
        try:
            value = self.construct_document(node) if node is not None else None
        except ConstructorError as error:  # Of what is merged, which is looked at after all else.
            self._note(error.problem_mark or error.context_mark, error.problem or "not YAML")
        self._keys, self.constructed_objects, self.recursive_objects, self.state_generators = {}, {}, {}, []
        return Read(value, node, self.taken())

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Note a key that its mapping has already: here, so that it is told of a document that has no end, too."""
        node = super().compose_node(parent, index)
        if isinstance(parent, yaml.MappingNode) and index is None and isinstance(node, yaml.ScalarNode):
            self._key(parent, node)
        return node

    def _key(self, mapping: yaml.MappingNode, node: yaml.ScalarNode) -> None:
        key = None if node.tag == _MERGE else self.construct_object(node, deep=True)
        if key is None or not isinstance(key, Hashable):
            return
        lines = self._keys.setdefault(id(mapping), {})
        if key in lines:
            self._note(node.start_mark, f"key {_shown(key)} stands twice, first in line {lines[key]}")
        lines.setdefault(key, node.start_mark.line + 1)

    def _note(self, mark: Any, what: str) -> None:
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if len(self.noted) < _MOST_NOTED:
            self.noted.setdefault((line, column), Mistake(line, column, what))

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return self._made(node, deep)
        except ConstructorError as error:
            self._note(error.problem_mark or node.start_mark, error.problem or "not YAML")
        return None

    def _made(self, node: yaml.Node, deep: bool) -> Any:
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
            self._note(node.start_mark, f"expected a mapping, and {_what(node)} is none")
            return {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._note(key.start_mark, f"{_what(key)} is no key")
        node.value = [(key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)]
        return super().construct_mapping(node, deep)

    def construct_sequence(self, node: yaml.Node, deep: bool = False) -> list[Any]:
        if not isinstance(node, yaml.SequenceNode):
            self._note(node.start_mark, f"expected a list, and {_what(node)} is none")
            return []
        return super().construct_sequence(node, deep)


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
