"""The page a person opens: one file that asks the network for nothing and runs no script but its own.

The policy in its head names the style and the script by their hashes, so that nothing a model or a dataset smuggled
into a name could run even if escaping failed. Everything that matters is in the HTML; scripts add sorting, filtering
and the hover of the charts.
"""

from __future__ import annotations

from typing import Any

import yaml

from assay_api.model import to_wire
from assay_api.report import DatasetEntry, GoldenEntry, Report
from assay_runner.report.candidate import candidate_section, candidate_sheets, parts_of
from assay_runner.report.chart import DENSE
from assay_runner.report.embedded import carries, embedded
from assay_runner.report.engine import machines
from assay_runner.report.frame import framed
from assay_runner.report.made import noise, provenance
from assay_runner.report.markup import Html, data_block, el, facts, join
from assay_runner.report.repair import repair_section
from assay_runner.report.results import findings_list
from assay_runner.report.summary import candidates_table, hero
from assay_runner.report.values import cell
from assay_runner.report.wording import overall


def render_html(report: Report) -> bytes:
    """The report as one self-contained HTML page in UTF-8.

    Args:
        report: the report of an audit or of one task.

    Returns:
        The page. It needs no network, and shows verdict, candidates and findings without scripts.
    """
    whole = shows_everything(report)
    return framed(
        title=join([f"{overall(report)}: {report.audit}{_part(report)} · Assay"]),
        verdict=overall(report),
        links=_links(report),
        main=_main(report, whole),
        data=data_block(embedded(report, whole=whole)),
        scripts=_scripts(report),
    )


_SCRIPTS = ("page.js", "names.js", "data.js", "tables.js", "charts.js")
_ZOOM = "zoom.js"


def _scripts(report: Report) -> tuple[str, ...]:
    """The page's scripts; only a deep network is looked at in parts."""
    deep = any(len(candidate.layers) > DENSE for candidate in report.candidates)
    return (*_SCRIPTS[:-1], _ZOOM, _SCRIPTS[-1]) if deep else _SCRIPTS


def is_summary(report: Report) -> bool:
    """Whether it is the audit's report, not one task's."""
    return report.recommendation is not None


def _part(report: Report) -> str:
    return "" if is_summary(report) else f", {report.task}"


def shows_everything(report: Report) -> bool:
    """Whether the page shows all of its candidates; a summary of several leaves some to each one's own page."""
    return not is_summary(report) or len(report.candidates) == 1


def _links(report: Report) -> Html:
    parts = [("findings", "Findings"), ("run", "Run")]
    if is_summary(report) and report.candidates:
        parts = [("candidates", "Candidates"), ("findings", "Findings"), ("details", "Details"), ("run", "Run")]
    elif report.candidates:
        shown = parts_of(report.candidates[0], 0, level=3, whole=True)
        named = [(f"candidate-0-{part.key}", _SHORT[part.key]) for part in shown if part.key in _SHORT]
        parts = [parts[0], *named, parts[1]]
    if report.repair:
        parts.insert(1 if is_summary(report) and report.candidates else 0, ("repair", "Repair"))
    return join(el("a", {"href": f"#{target}"}, text) for target, text in parts)


_SHORT = {
    "drift": "Outputs",
    "depth": "Depth",
    "range": "Range",
    "tensors": "Tensors",
    "histograms": "Histograms",
    "engine": "Engine",
}


def _main(report: Report, whole: bool) -> Html:
    anchors = {candidate.name: f"candidate-{index}" for index, candidate in enumerate(report.candidates)}
    carried = carries(report)
    places = range(len(report.candidates))
    if not is_summary(report):
        sheets = [candidate_sheets(report, i, carried=i in carried) for i in places]
        return join(
            [hero(report), repair_section(report, anchors), findings_list(report, anchors), sheets, _run(report)]
        )
    sections = [candidate_section(report, i, whole=whole, carried=i in carried) for i in places]
    details = el(
        "section", {"aria-labelledby": "details"}, el("h2", {"id": "details"}, "Candidate by candidate"), sections
    )
    return join(
        [
            hero(report),
            candidates_table(report) if sections else None,
            repair_section(report, anchors),
            findings_list(report, anchors),
            details if sections else None,
            _run(report),
        ]
    )


_LABELS = {
    "uri": "Address",
    "samples": "Samples",
    "shards": "Shards",
    "batch": "Batch",
    "labels": "Labels",
    "ignored": "Ignored arrays",
    "identity": "Digest of the data",
    "precision": "Precision",
    "backend": "Backend",
    "python": "Python",
    "os": "System",
    "cpu": "CPU",
    "cores": "Cores",
    "onnxruntime": "ONNX Runtime",
    "onnx": "ONNX",
    "numpy": "NumPy",
}


def _run(report: Report) -> Html:
    """How the audit was made, and how to make it again."""
    parts = [el("h2", {"id": "run"}, "How this was measured")]
    if report.reproduce:
        command = el("pre", {"tabindex": "0"}, el("code", None, report.reproduce))
        parts += [el("h3", None, "Run it again"), el("div", {"class": "copyable"}, command)]
    for title, values in (
        ("Dataset", _known(report.dataset)),
        ("Golden", _known(report.golden)),
        ("Environment", {**machines(report.candidates), **report.environment}),
    ):
        if values:
            parts += [el("h3", None, title), facts((_LABELS.get(key, key), cell(v)) for key, v in values.items())]
    for title, records in (("Golden's own noise", noise(report)), ("What computed, from what", provenance(report))):
        if records:
            parts += [el("h3", None, title), cell(records)]
    if report.spec:
        spec = yaml.safe_dump(to_wire(report.spec), sort_keys=False, allow_unicode=True, width=100)
        listing = el("div", {"class": "copyable"}, el("pre", {"tabindex": "0"}, el("code", None, spec)))
        parts.append(el("details", None, el("summary", None, "Spec that was audited"), listing))
    return el("section", {"aria-labelledby": "run"}, parts)


def _known(entry: DatasetEntry | GoldenEntry) -> dict[str, Any]:
    """Its fields that are not absent, by their names in report.json; those that are tables have their own."""
    return entry.model_dump(by_alias=True, exclude_none=True, exclude={"floors", "provenance"})
