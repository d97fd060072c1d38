"""Whatever else was measured, shown without knowing what it is: numbers short, lists joined, records as a table."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from assay_api.report import NON_FINITE
from assay_runner.report.figures import plain
from assay_runner.report.markup import Html, code, el, join

LONGEST = 2_000
"""Characters of one value; the whole of it is in report.json."""
ROWS, COLUMNS = 50, 12


_NEXT_WORD = re.compile("(?<=[a-z0-9])(?=[A-Z])")
_SPELLED = {"snr": "SNR", "Snr": "SNR", "psnr": "PSNR", "Rms": "RMS", "Fp32": "FP32", "tf32": "TF32"}


def words(key: str) -> str:
    """A key of report.json as words: "insideFusedLayers" is "inside fused layers"."""
    return " ".join(
        word if word.isupper() else _SPELLED.get(word, word.lower()) for word in _NEXT_WORD.sub(" ", key).split(" ")
    )


def cell(value: Any) -> Html:
    """Any JSON value."""
    records = _records(value)
    if records:
        return _table(records)
    if value in ({}, [], ()):
        return join(["none"])
    if value is None or isinstance(value, bool):
        return join([{True: "yes", False: "no", None: "none"}[value]])
    if isinstance(value, int | float):
        return join([plain(value, 6)])
    if isinstance(value, str):
        return join([_cut(value) or "empty"])
    if isinstance(value, list | tuple) and all(isinstance(item, str | int | float) for item in value):
        return join([_cut(", ".join(item if isinstance(item, str) else plain(item) for item in value)) or "none"])
    return el("code", None, _cut(json.dumps(value, ensure_ascii=False, default=str)))


def _records(value: Any) -> list[tuple[str | None, Mapping[str, Any]]]:
    """(name, fields) per row where the value is a list or a mapping of flat records, else nothing."""
    rows: list[tuple[str | None, Any]] = []
    if isinstance(value, Mapping):
        rows = [(str(key), fields) for key, fields in value.items()]
    elif isinstance(value, list | tuple):
        rows = [(None, fields) for fields in value]
    return rows if rows and all(isinstance(fields, Mapping) and fields for _, fields in rows) else []


def _table(records: Sequence[tuple[str | None, Mapping[str, Any]]]) -> Html:
    keys = list(dict.fromkeys(str(key) for _, fields in records for key in fields))[:COLUMNS]
    named = any(name is not None for name, _ in records)
    heads = [el("th", {"scope": "col"}, head) for head in ([""] if named else []) + [words(key) for key in keys]]
    rows = []
    for name, fields in records[:ROWS]:
        head = el("th", {"scope": "row"}, code(name)) if named else None
        rows.append(el("tr", None, head, [el("td", None, _flat(fields.get(key, ""))) for key in keys]))
    count = f"{ROWS} of {len(records)} rows; all are in report.json" if len(records) > ROWS else f"{len(records)} rows"
    table = el(
        "table",
        None,
        el("caption", {"class": "unseen"}, count),
        el("thead", None, el("tr", None, heads)),
        el("tbody", None, rows),
    )
    more = el("p", {"class": "quiet"}, count) if len(records) > ROWS else None
    return el("div", {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": count}, table, more)


def _flat(value: Any) -> str:
    if isinstance(value, str) and value in NON_FINITE:
        return plain(value)
    if isinstance(value, bool | int | float):
        return plain(value) if not isinstance(value, bool) else ("yes" if value else "no")
    if isinstance(value, Mapping):
        return _cut(", ".join(f"{words(str(key))} {_flat(item)}" for key, item in value.items()))
    return _cut(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … (whole in report.json)"
