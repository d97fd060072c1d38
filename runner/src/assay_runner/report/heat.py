"""A map of a sweep: a row per model, a column per what it is audited as, a square each."""

from __future__ import annotations

from collections.abc import Iterable

from assay_runner.report.markup import Html, el


def heat_map(
    label: str,
    caption: str,
    heads: Iterable[Iterable[Html | str]],
    rows: Iterable[tuple[str, list[Html]]],
    kind: str = "",
) -> Html:
    """The table, in a region that scrolls by itself.

    Args:
        label: of the region, for screen readers.
        caption: of the table, likewise.
        heads: what stands above each column but that of the models.
        rows: models, each with its squares.
        kind: a further class of the table.
    """
    top = [el("th", {"scope": "col"}, "Model"), *(el("th", {"scope": "col"}, *head) for head in heads)]
    body = [el("tr", None, el("th", {"scope": "row"}, model), squares) for model, squares in rows]
    table = el(
        "table", {"class": f"heat {kind}".strip()}, el("caption", {"class": "unseen"}, caption),
        el("thead", None, el("tr", None, top)), el("tbody", None, body),
    )  # fmt: skip
    return el("div", {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": label}, table)
