"""The map of a screening: by comparison class a row per node, a square per GPU, told apart by mark and colour.

A thousand nodes are a table that nobody reads, so of many nodes those without anything to tell are folded up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from assay_api.report import Verdict
from assay_runner.report.markup import Html, el, tone
from assay_runner.report.screen_shown import ORDER, ClassShown, DeviceShown, Outcome, class_words

MOST_OPEN: Final = 16
"""Nodes of one kind that are shown unfolded."""
TITLE: Final = 200
"""Characters of a sentence that a square has."""
WORDS: Final[dict[Outcome, str]] = {
    "differs": "differed", "hung": "hung or died", "unclear": "unclear", "skipped": "skipped", "agreed": "agreed",
}  # fmt: skip
MARKS: Final[dict[Outcome, str]] = {"differs": "✕", "hung": "■", "unclear": "?", "skipped": "–", "agreed": "✓"}
KEYS: Final = (
    "✓ agreed, ✕ differs, ■ hung or died, – skipped, ? nothing can be said; ✕? and ■? were seen in one scan alone, "
    "or may be the plan's doing, so that they name nobody. A node's GPUs stand in the order of the report."
)
RULES: Final = {
    "digest": "a stored record",
    "majority": "most of at least three devices of one class",
    "none": "nothing: a record or three devices of one class would",
}
_GROUPS: Final = (
    "with a GPU that differs, hangs, or of which nothing can be said",
    "of which a part was skipped and the rest agreed",
    "skipped as a whole",
    "all of whose GPUs agreed",
)
"""Nodes that are folded together, what is worst first."""
Nodes = Sequence[tuple[str, Sequence[DeviceShown]]]


def class_maps(classes: Sequence[ClassShown], linked: frozenset[int]) -> Iterator[Html]:
    """The map of each class.

    Args:
        classes: the classes.
        linked: numbers of the devices that the page tells more of.
    """
    yield el("p", {"class": "quiet"}, KEYS)
    for kind in classes:
        yield el("h3", None, _name(kind))
        yield el("p", None, _told(kind))
        yield from _parts(kind, linked)


def mark(shown: DeviceShown) -> str:
    """What came of a device, as a mark; one that is suspected and not named has a question mark."""
    doubt = "?" if shown.detailed and shown.entry.verdict is not Verdict.FAILED else ""
    return MARKS[shown.outcome] + doubt


def counted(devices: Sequence[DeviceShown]) -> str:
    """How many there are, and what came of how many; of nodes of which no GPU is known apart."""
    gpus = [each for each in devices if not each.whole_node]
    nodes = [each for each in devices if each.whole_node]
    told = [f"{many(len(gpus), 'GPU')}: {_tally(gpus)}"] if gpus else []
    told += [f"{many(len(nodes), 'node')} of which no GPU could be looked at: {_tally(nodes)}"] if nodes else []
    return "; ".join(told) or "No GPU"


def _tally(devices: Sequence[DeviceShown]) -> str:
    tally = Counter(each.outcome for each in devices)
    return ", ".join(f"{tally[outcome]:,} {WORDS[outcome]}" for outcome in reversed(ORDER) if tally[outcome])


def many(count: int, word: str) -> str:
    """A count and what is counted."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _name(kind: ClassShown) -> str:
    return "Class not known" if all(each.whole_node for each in kind.devices) else class_words(kind.kind)


def _told(kind: ClassShown) -> str:
    of = f" On {many(len(kind.nodes), 'node')}." if any(not each.whole_node for each in kind.devices) else ""
    rule = f" What is right is said by {RULES[kind.rule]}." if kind.rule else ""
    excluded = f" In those that agreed, {excluded_words(kind.excluded)}." if kind.excluded else ""
    return f"{counted(kind.devices)}.{of}{rule}{excluded}"


def excluded_words(rate: float) -> str:
    """What n runs without a fault exclude: of 3 / n and more, with 95 % confidence."""
    return f"faults in more than {rate:.1e} of runs are excluded (95 %, 3 / n)"


def _parts(kind: ClassShown, linked: frozenset[int]) -> Iterator[Html]:
    """One table of few nodes; of many, one of those with something to tell and folded ones of the rest."""
    if len(kind.nodes) <= MOST_OPEN:
        yield _table(kind, kind.nodes, linked)
        return
    groups: dict[str, list[tuple[str, list[DeviceShown]]]] = {}
    for host, devices in kind.nodes:
        groups.setdefault(_group({each.outcome for each in devices}), []).append((host, devices))
    for words in (name for name in _GROUPS if name in groups):
        yield el(
            "details",
            {"open": len(groups[words]) <= MOST_OPEN},
            el("summary", None, f"{many(len(groups[words]), 'node')} {words}"),
            _table(kind, groups[words], linked),
        )


def _group(outcomes: set[Outcome]) -> str:
    """Which of `_GROUPS` a node is in, by what came of its devices."""
    if outcomes & {"differs", "hung", "unclear"}:
        return _GROUPS[0]
    return _GROUPS[3] if outcomes == {"agreed"} else _GROUPS[2] if outcomes == {"skipped"} else _GROUPS[1]


def _table(kind: ClassShown, nodes: Nodes, linked: frozenset[int]) -> Html:
    wide = max(len(devices) for _, devices in nodes)
    heads = (el("th", {"scope": "col"}, "Node"), el("th", {"scope": "col", "colspan": wide}, "GPUs"))
    rows = (
        el("tr", None, el("th", {"scope": "row"}, host), [_square(each, linked) for each in devices])
        for host, devices in nodes
    )
    region = {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": f"Map of {_name(kind)}"}
    caption = el("caption", {"class": "unseen"}, f"What came of each GPU: {_name(kind)}")
    head = el("thead", None, el("tr", None, heads))
    return el("div", region, el("table", {"class": "heat"}, caption, head, el("tbody", None, rows)))


def _square(shown: DeviceShown, linked: frozenset[int]) -> Html:
    entry = shown.entry
    kind = "unjudged" if shown.outcome == "skipped" else tone(entry.verdict)
    if shown.outcome == "agreed":
        return el("td", {"class": kind, "title": entry.device}, mark(shown))
    said = f"{entry.device}: {entry.message}"[:TITLE]
    if shown.number not in linked:
        return el("td", {"class": kind, "title": said}, mark(shown))
    words = f"{entry.device} {WORDS[shown.outcome]}"
    link = {"href": f"#{shown.anchor}", "title": said, "aria-label": words}
    return el("td", {"class": kind}, el("a", link, mark(shown)))
