"""Where in a file stands what a problem is about: its line, found by the path that leads the problem."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import yaml

from assay_runner.cli.strict_yaml import Read

_INDEX: Final = re.compile(r"\[(\d+)\]")
_END: Final = re.compile(r"[.\[]")
_MOST_STEPS: Final = 32
"""Ends of a key that are tried in a path; those of an audit have about ten steps."""
_TWICE: Final = re.compile(
    r"(?:duplicate name '(?P<name>[^']*)' in (?P<list>\w+)|(?P<check>\w+) stands twice in checks)"
)
"""Rules of a whole list, which name what stands in it twice."""


def with_lines(read: Read, problems: Iterable[str]) -> list[str]:
    """Problems of a document and mistakes of its text, each led by its line, in the order of the text.

    Args:
        read: the document.
        problems: sentences led by the path of a field (`spec.candidates[0].name: …`). Those of a value that could not
            be read are left out: what is wrong with it is known.
    """
    places = _Places()
    unread = {(mistake.line, mistake.column) for mistake in read.mistakes}
    found = [(mistake.line, mistake.told()) for mistake in read.mistakes]
    for problem in problems:
        mark = places.of(read.node, problem) if read.node is not None else None
        if mark is None:
            found.append((0, problem))
        elif (mark.line + 1, mark.column + 1) not in unread:
            found.append((mark.line + 1, f"line {mark.line + 1}: {problem}"))
    return [problem for _, problem in sorted(found, key=lambda each: each[0])]


class _Places:
    """Where fields stand; keys of a mapping are looked through once, for a file may have thousands of problems."""

    def __init__(self) -> None:
        self._known: dict[int, dict[str, tuple[yaml.Node, yaml.Node]]] = {}

    def of(self, node: yaml.Node, problem: str) -> yaml.Mark | None:
        """Where the field stands that leads a problem, or the nearest one around it; None where none of them is."""
        mark: yaml.Mark | None = None
        path, _, told = problem.partition(": ")
        for key, value in self._along(node, path):
            mark, node = key.start_mark, value
        if twice := _TWICE.match(told):
            last = [where for name, where in self._named(node, twice) if name == (twice["name"] or twice["check"])]
            return last[-1] if last else mark
        # What cannot be read is marked where the value stands, all else where its key does.
        return node.start_mark if isinstance(node, yaml.ScalarNode) else mark

    def _along(self, node: yaml.Node, path: str) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        """Key and value at each step of a path, an item of a list being its own key, as far as the path leads."""
        while path:
            if isinstance(node, yaml.MappingNode):
                key = self._first(node, path)
                if key is None:
                    return
                found, node = self._keys(node)[key]
                yield found, node
                path = path[len(key) :].removeprefix(".")
            elif (
                isinstance(node, yaml.SequenceNode) and (step := _INDEX.match(path)) and int(step[1]) < len(node.value)
            ):
                node = node.value[int(step[1])]
                yield node, node
                path = path[step.end() :].removeprefix(".")
            else:
                return

    def _first(self, node: yaml.MappingNode, path: str) -> str | None:
        """The longest key with which a path begins: one may hold dots."""
        keys = self._keys(node)
        ends = [len(path), *(found.start() for found in islice(_END.finditer(path), _MOST_STEPS))]
        return next((path[:end] for end in sorted(ends, reverse=True) if path[:end] in keys), None)

    def _keys(self, node: yaml.MappingNode) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Keys with their values; of equal ones the last, which is the one that counts."""
        if id(node) not in self._known:
            self._known[id(node)] = {str(key.value): (key, value) for key, value in node.value}
        return self._known[id(node)]

    def _named(self, node: yaml.Node, twice: re.Match[str]) -> Iterator[tuple[str, yaml.Mark]]:
        """Names in a list of an object, of its items or, of checks, of their only keys; and where each stands."""
        for _, items in self._along(node, twice["list"] or "checks"):
            for item in items.value if isinstance(items, yaml.SequenceNode) else ():
                for key, value in item.value if isinstance(item, yaml.MappingNode) else ():
                    if twice["check"] or key.value == "name":
                        yield str(key.value if twice["check"] else value.value), key.start_mark
