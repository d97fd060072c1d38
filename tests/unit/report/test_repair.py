"""What page and terminal tell of a repair: before, after, what to deploy, and every trial between."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from assay_api.report import Report
from assay_runner.report import print_verdicts, render_html
from assay_runner.report.repair import SHOWN, beyond
from assay_runner.report.wording import headline, overall
from tests.unit.report import repairs, samples
from tests.unit.report.documents import Node, parse_page


def section(report: Report) -> Node:
    main = next(iter(parse_page(render_html(report)).all("main")))
    return next(node for node in main.all("section") if node.attributes.get("aria-labelledby") == "repair")


def printed(report: Report, width: int = 200) -> str:
    stream = io.StringIO()
    print_verdicts(report, Console(file=stream, width=width))
    return stream.getvalue()


@pytest.mark.parametrize(("samples", "share"), [(1, "95.0 %"), (2, "77.7 %"), (400, "0.75 %"), (10_000, "0.030 %")])
def test_what_samples_without_a_failure_exclude_is_rounded_up(samples: int, share: str) -> None:
    assert beyond(samples).startswith(f"fewer than {share} of others")
    least = float(share.removesuffix(" %")) / 100
    assert (1 - least) ** samples <= 0.05 + 1e-12


def test_before_after_and_what_to_deploy() -> None:
    report = repairs.repaired()
    shown = section(report)
    text = shown.text
    assert "Searched with 180 samples; what was found is judged on 180 others" in text
    assert (
        "Where each of 180 holds its limits, fewer than 1.7 % of others like them do not, with 95 % confidence." in text
    )
    assert "4 of 40 builds, 6 of 2,000 emulations, 6 min of 60 min" in text
    for said in ("before", "after", "cured", "not cured", "2 nodes kept in FP16", "1 node kept in FP32", "conv2"):
        assert said in text, said
    assert f"{repairs.FOLDER}/model.onnx" in text
    assert "Each of them is needed" in text
    assert "10.6.0 NVIDIA H200" in text
    links = {link.attributes["href"] for link in shown.all("a")}
    assert {"#candidate-1", "#candidate-2"} <= links


def test_every_trial_is_in_the_table_and_a_mark_on_the_path() -> None:
    shown = section(repairs.repaired(9))
    marks = [node for node in shown.all("g") if node.attributes.get("role") == "listitem"]
    assert [node.attributes["class"] for node in marks] == [*(["passed", "failed", "failed"] * 3)[:8], "passed"]
    assert sum("ring" in (node.attributes.get("class") or "") for node in shown.all("circle")) == 1
    rows = [row for table in shown.all("table") for row in table.all("tr")]
    assert len(rows) == 3 + 10
    assert "1 known from an earlier trial" in shown.text


def test_calibrations_and_what_the_set_covers_are_shown() -> None:
    text = section(repairs.recalibrated()).text
    for said in (
        "Every calibration that was tried: 2.", "percentile 99.9", "chosen", "192 samples of the dataset", "per tensor",
        "Inside what calibration saw", "99.9999 % of the activations of 384 samples", "relu1.out", "22.5 %",
        "Samples that would mend it", "64, 7",
    ):  # fmt: skip
        assert said in text, said


def test_a_long_search_is_cut_and_counted() -> None:
    shown = section(repairs.repaired(SHOWN + 100))
    assert "100 more are in report.json" in shown.text
    assert "unseen samples" in shown.text, "what was judged on unseen samples is shown whatever else is"


def test_the_verdict_and_the_headline_are_of_what_was_asked_for() -> None:
    report = repairs.repaired()
    assert overall(report) == samples.FAILED
    assert (
        headline(report)
        == "1 of 2 candidates outside a limit; 1 within all limits. The repair stays within every limit."
    )


def test_the_terminal_tells_every_remedy_in_one_sentence() -> None:
    text = printed(repairs.repaired())
    assert "Repair: 9 trials, 4 of 40 builds, 6 of 2,000 emulations, 6 min of 60 min\n" in text
    assert "✘ int8, calibration: not cured: all methods fail\n" in text
    assert "✔ int8, precision: cured: 3 nodes must run wider; it passes on 180 samples\n" in text


def test_where_nothing_could_be_repaired_that_is_said() -> None:
    report = repairs.in_vain()
    assert headline(report) == "No candidate could be repaired."
    assert "plan is an existing plan" in section(report).text
    assert "? plan, precision: no remedy applies: plan is an existing plan" in printed(report)


def test_without_a_repair_there_is_no_section() -> None:
    assert 'id="repair"' not in render_html(samples.failed()).decode()
