"""Reading a page back: a tree of elements, made by a parser that refuses what is not closed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "link", "br", "hr", "input"}


@dataclass
class Node:
    """An element: its tag, attributes, child elements and texts in order."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Node | str] = field(default_factory=list)

    def all(self, tag: str, **attributes: str) -> list[Node]:
        """Every element below of that tag whose attributes have these values (`class` as one of its words)."""
        wanted = {key.rstrip("_"): value for key, value in attributes.items()}
        return [n for n in self.walk() if n.tag == tag and all(n.matches(k, v) for k, v in wanted.items())]

    def one(self, tag: str, **attributes: str) -> Node:
        """The only such element."""
        (found,) = self.all(tag, **attributes)
        return found

    def matches(self, key: str, value: str) -> bool:
        given = self.attributes.get(key, "")
        return value in given.split() if key == "class" else given == value

    def walk(self) -> Iterator[Node]:
        for child in self.children:
            if isinstance(child, Node):
                yield child
                yield from child.walk()

    @property
    def text(self) -> str:
        """All text below, white space collapsed."""
        parts = [c if isinstance(c, str) else c.text for c in self.children if not is_code(c)]
        return " ".join(" ".join(parts).split())


def is_code(child: Node | str) -> bool:
    return isinstance(child, Node) and child.tag in ("script", "style")


class TreeParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Node("document")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"attribute given twice in {tag}: {names}"
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parse_page(page: bytes) -> Node:
    """The page's tree.

    Raises:
        AssertionError: an element is not closed where it must be.
    """
    parser = TreeParser()
    parser.feed(page.decode("utf-8"))
    parser.close()
    assert len(parser.open) == 1, f"never closed: {[n.tag for n in parser.open[1:]]}"
    return parser.open[0]


def carried(tree: Node) -> Any:
    """The report the page carries."""
    return json.loads("".join(str(c) for c in tree.one("script", id="report").children))
