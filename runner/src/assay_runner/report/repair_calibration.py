"""The calibrations that a repair tried, as a table, and how well the calibration set stands for the dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from assay_api.repair import CalibrationEntry, CoverageEntry, RemedyEntry
from assay_runner.report.figures import NOT_MEASURED, bound, count, figure
from assay_runner.report.markup import Child, Html, badge, code, el, facts

Table = Callable[[str, Iterable[str], Iterable[Iterable[Child]]], Html]
HEADERS = ("Method", "Ranges from", "Weights", "Figure", "Verdict")


def calibrations(remedy: RemedyEntry, table: Table) -> list[Html]:
    """What was tried and what the set covers; nothing of a remedy that calibrated nothing."""
    shown = []
    if remedy.coverage:
        shown += [el("h4", None, "What the candidate was calibrated with"), _coverage(remedy.coverage)]
    if remedy.calibrations:
        caption = "Calibrations, the best first"
        rows = [_row(each) for each in remedy.calibrations]
        summary = f"Every calibration that was tried: {count(len(rows))}."
        shown.append(el("details", None, el("summary", None, summary), table(caption, HEADERS, rows)))
    return shown


def _row(each: CalibrationEntry) -> list[Child]:
    share = f" {each.percentile:g}" if each.percentile is not None else ""
    source = "samples" if each.source == "calibration" else "samples of the dataset"
    value = NOT_MEASURED
    if each.value is not None:
        limit = f" (limit {bound(each.metric, each.limit)})" if each.limit is not None else ""
        value = f"{each.metric} {figure(each.metric, each.value)}{limit}"
    chosen = el("small", None, "chosen") if each.chosen else None
    return [
        [f"{each.method}{share} ", chosen], f"{count(each.samples)} {source}",
        "per channel" if each.per_channel else "per tensor", value, badge(each.verdict),
    ]  # fmt: skip


def _coverage(covered: CoverageEntry) -> Html:
    inside = f"{_share(covered.inside)} of the activations of {count(covered.samples)} samples"
    return facts(
        [
            ("Inside what calibration saw", inside),
            ("The least of", _tensors(covered.least)),
            ("Its ranges keep", _tensors(covered.clipped)),
            ("Samples that would mend it", ", ".join(map(str, covered.mending))),
        ]
    )


def _tensors(shares: Mapping[str, float]) -> Html | None:
    if not shares:
        return None
    rows = [el("li", None, code(name), f" {_share(share)}") for name, share in shares.items()]
    return el("ul", {"class": "nodes"}, rows)


def _share(share: float) -> str:
    """Per cent; what is not all never looks so."""
    return "100 %" if share >= 1 else f"{min(100 * share, 99.9999):.6g} %"
