"""Where in a file stands what a problem is about: its line, found by the path that leads the problem."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import yaml

from assay_runner.cli.strict_yaml import Read

_INDEX: Final = re.compile(r"\[(\d+)\]")
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
    unread = {(mistake.line, mistake.column) for mistake in read.mistakes}
    found = [(mistake.line, mistake.told()) for mistake in read.mistakes]
    for problem in problems:
        mark = _place(read.node, problem) if read.node is not None else None
        if mark is None:
            found.append((0, problem))
        elif (mark.line + 1, mark.column + 1) not in unread:
            found.append((mark.line + 1, f"line {mark.line + 1}: {problem}"))
    return [problem for _, problem in sorted(found, key=lambda each: each[0])]


def _place(node: yaml.Node, problem: str) -> yaml.Mark | None:
    """Where the field stands that leads a problem, or the nearest one around it; None where not even that is there."""
    mark: yaml.Mark | None = None
    path, _, told = problem.partition(": ")
    for key, value in _along(node, path):
        mark, node = key.start_mark, value
    if twice := _TWICE.match(told):
        last = [where for name, where in _named(node, twice) if name == (twice["name"] or twice["check"])]
        return last[-1] if last else mark
    # What cannot be read is marked where the value stands, all else where its key does.
    return node.start_mark if isinstance(node, yaml.ScalarNode) else mark


def _along(node: yaml.Node, path: str) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Key and value at each step of a path, an item of a list being its own key, as far as the path leads."""
    while path:
        if isinstance(node, yaml.MappingNode):
            # The longest key first: one may hold dots. The last of equal ones is the one that counts.
            fitting = [(key, value) for key, value in node.value if _leads(str(key.value), path)]
            if not fitting:
                return
            longest = max(len(str(key.value)) for key, _ in fitting)
            key, node = [pair for pair in fitting if len(str(pair[0].value)) == longest][-1]
            yield key, node
            path = path[longest:].removeprefix(".")
        elif isinstance(node, yaml.SequenceNode) and (step := _INDEX.match(path)) and int(step[1]) < len(node.value):
            node = node.value[int(step[1])]
            yield node, node
            path = path[step.end() :].removeprefix(".")
        else:
            return


def _leads(key: str, path: str) -> bool:
    return bool(key) and path.startswith(key) and path[len(key) : len(key) + 1] in ("", ".", "[")


def _named(node: yaml.Node, twice: re.Match[str]) -> Iterator[tuple[str, yaml.Mark]]:
    """Names in a list of an object, of its items or, of checks, of their only keys; and where each stands."""
    for _, items in _along(node, twice["list"] or "checks"):
        for item in items.value if isinstance(items, yaml.SequenceNode) else ():
            for key, value in item.value if isinstance(item, yaml.MappingNode) else ():
                if twice["check"] or key.value == "name":
                    yield str(key.value if twice["check"] else value.value), key.start_mark
