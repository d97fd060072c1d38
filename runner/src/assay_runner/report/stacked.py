"""Tables that a phone can show: where the screen is narrow each row becomes a card, and each cell tells its heading.

Every table of a page is made of one element, so this is done there: no table can be forgotten. Cells get the heading of
their column as `data-label`, which style sheets show, and roles, for a table that is laid out otherwise is none to a
screen reader.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

FEWEST: Final = 4
"""Columns of a table that becomes cards; fewer fit on any screen."""
AS_IT_IS: Final = frozenset({"cards", "heat", "narrow"})
"""Classes of tables that stay as they are: their own cards, a map, short numbers."""
_PART: Final = re.compile(r"<(thead|tbody|tr|td|th)\b([^>]*)>|</tr>|</thead>")
_HEAD: Final = re.compile(r"<th\b[^>]*>(.*?)</th>", re.DOTALL)
_TAG: Final = re.compile(r"<[^>]*>")


def stacked(attributes: Mapping[str, Any], inside: str) -> tuple[dict[str, Any], str]:
    """Attributes and inside of a table, made so that it can become cards; as they are where it need not.

    Args:
        attributes: of the table.
        inside: its markup, in which text is escaped.
    """
    classes = str(attributes.get("class") or "").split()
    head, _, _ = inside.partition("</thead>")
    labels = [_TAG.sub("", text).strip() for text in _HEAD.findall(head)]
    if len(labels) < FEWEST or AS_IT_IS.intersection(classes):
        return dict(attributes), inside
    return {**attributes, "class": " ".join((*classes, "stack")), "role": "table"}, _labelled(inside, labels)


def _labelled(inside: str, labels: list[str]) -> str:
    place, in_head = 0, False

    def part(match: re.Match[str]) -> str:
        nonlocal place, in_head
        tag, given = match[1], match[2] or ""
        if tag == "thead":
            in_head = True
        elif match[0] == "</thead>":
            in_head = False
        if tag is None:
            return match[0]
        if tag in ("thead", "tbody"):
            return match[0]
        if tag == "tr":
            place = 0
            return f'<tr role="row"{given}>'
        if in_head:
            return match[0]
        role = "rowheader" if tag == "th" else "cell"
        label = labels[place] if place < len(labels) and tag == "td" and "colspan" not in given else ""
        place += 1
        return f'<{tag} role="{role}"{given}' + (f' data-label="{label}">' if label else ">")

    return _PART.sub(part, inside)
