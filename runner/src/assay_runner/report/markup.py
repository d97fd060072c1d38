"""HTML that cannot be broken by what it shows: text is escaped when an element is made, and only there.

A tensor may be called `</script><img src=x onerror=…>`. So markup is built from elements, never from strings put
together; a `str` is always text, `Html` is always markup, and the type checker tells them apart.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from assay_api.report import Verdict
from assay_runner.report.stacked import stacked
from assay_runner.report.wording import LONGEST_NAME, shortened, visible


class Html(str):
    """Markup that is safe to put on a page as it is."""

    __slots__ = ()


Child: TypeAlias = "str | Html | Iterable[Child] | None"
Attributes = Mapping[str, "str | int | float | bool | None"]

_WIDE = 60
"""Characters beyond which a fact has a line of its own."""
_VOID = ("br", "hr", "meta", "link")
_ICONS = {
    Verdict.PASSED: "M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20zM7 12.5l3.4 3.4L17 9",
    Verdict.FAILED: "M7.9 2h8.2L22 7.9v8.2L16.1 22H7.9L2 16.1V7.9zM8.5 8.5l7 7m0-7l-7 7",
    Verdict.INCONCLUSIVE: "M12 1.6L22.4 12 12 22.4 1.6 12zM9.6 9.6a2.4 2.4 0 1 1 3.4 2.2c-.7.3-1 .8-1 1.6m0 3v.2",
}


def el(tag: str, attributes: Attributes | None = None, *children: Child) -> Html:
    """An element; attributes that are None or False are left out, True ones stand without a value."""
    inside: str = join(children)
    if tag == "table":
        attributes, inside = stacked(attributes or {}, inside)
    opened = f"<{tag}{''.join(_attribute(k, v) for k, v in (attributes or {}).items())}>"
    return Html(opened if tag in _VOID else f"{opened}{inside}</{tag}>")


def join(children: Iterable[Child]) -> Html:
    """Children one after the other; text is escaped, None is nothing."""
    return Html("".join(_child(child) for child in children))


def _child(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, str):
        return html.escape(visible(child))
    return join(child)


def _attribute(name: str, value: str | int | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{html.escape(visible(str(value)))}"'


def table(title: str, heads: Iterable[Child], rows: Iterable[Html], kind: str | None = None) -> Html:
    """A table that scrolls sideways in a region of its own; `title` is for who does not see it, `kind` its class."""
    head = el("thead", None, el("tr", None, [el("th", {"scope": "col"}, text) for text in heads]))
    region = {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": title}
    return el(
        "div",
        region,
        el("table", {"class": kind}, el("caption", {"class": "unseen"}, title), head, el("tbody", None, rows)),
    )


def row(cells: Iterable[Child]) -> Html:
    """A row of a table, each of the cells in one of its own."""
    return el("tr", None, [el("td", None, each) for each in cells])


def icon(verdict: Verdict, place: Attributes | None = None) -> Html:
    """The verdict's shape: a circle, an octagon or a diamond, told apart without colour; `place` in a drawing."""
    shape = {"viewBox": "0 0 24 24", "class": "icon", "aria-hidden": "true", "focusable": "false", **(place or {})}
    return el("svg", shape, el("path", {"d": _ICONS[verdict]}))


def badge(verdict: Verdict) -> Html:
    """Icon and word of a verdict."""
    return el("span", {"class": f"badge {tone(verdict)}"}, icon(verdict), str(verdict))


def tone(verdict: Verdict) -> str:
    """CSS class of a verdict."""
    return verdict.lower()


def code(name: str | None) -> Html | None:
    """A name out of the model, as code that may break at any character; a very long one whole in its title only."""
    if name is None:
        return None
    return el("code", {"title": name if len(name) > LONGEST_NAME else None}, shortened(name))


def facts(pairs: Iterable[tuple[str, Child]], kind: str = "facts") -> Html:
    """A description list; pairs without a value are left out."""
    rows = [_fact(k, v) for k, v in pairs if v is not None and v != ""]
    return el("dl", {"class": kind}, rows) if rows else Html("")


def _fact(name: str, value: Child) -> Html:
    wide = isinstance(value, str) and len(value) > _WIDE and "<" not in value
    return el("div", {"class": "wide" if wide else None}, el("dt", None, name), el("dd", None, value))


def data_block(value: Any) -> Html:
    """JSON for a `<script type="application/json">`: no character that could end the element or a line of it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Html(text.encode("utf-8", "backslashreplace").decode())
