"""What the page of a screening says, and how large it is however many GPUs there are."""

from __future__ import annotations

import re

import pytest

from assay_api.finding import Verdict
from assay_api.screening import ScreenReport
from assay_runner.report.screen_map import mark
from assay_runner.report.screen_page import render_screen
from assay_runner.report.screen_shown import by_outcome, classes_of
from assay_runner.report.screen_waiting import render_waiting
from tests.unit.report.screenings import MIG, RIGHT, all_differ, device, good, many, mixed, screened, uuid, whole

TAGS = re.compile(r"<[^>]*>")


def section(page: bytes, key: str) -> str:
    """The text of a part of a page."""
    found = re.search(rf'<section aria-labelledby="{key}">(.*?)</section>', page.decode(), re.DOTALL)
    return " ".join(TAGS.sub(" ", found[1]).split()) if found else ""


def rows(page: bytes) -> dict[str, str]:
    """The marks of each node in the maps, by its name."""
    found = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', page.decode())
    return {name: " ".join(TAGS.sub(" ", cells).split()) for name, cells in found}


def test_a_node_is_a_row_and_each_outcome_has_its_mark() -> None:
    found = rows(render_screen(mixed()))
    assert found["worker-000"] == "✓ ✓ ✓ ✓ ✓ ✓ ✓ ✓"
    assert found["worker-001"] == "✓ ✓ ✕ ✓ ✓ ✓ ✓ ✓"
    assert found["worker-002"].startswith("✕ ✓")
    assert found["worker-003"].endswith("✓ ■")
    assert found["worker-004"].startswith("✓ ✕? ✓")
    assert found["worker-005"] == "✓ ✓ ✓ ✓ – – ✓ ✓"
    assert (found["worker-009"], found["worker-010"], found["worker-012"]) == ("? ?", "–", "■")
    # What is named comes first, whatever its node is called.
    assert list(found)[:3] == ["worker-001", "worker-002", "worker-003"]


def test_each_class_says_what_is_right_in_it_and_what_is_excluded() -> None:
    told = section(render_screen(mixed()), "map")
    assert "NVIDIA H100 80GB HBM3, driver 580.65.06, ECC enabled 48 GPUs: 42 agreed, 2 skipped, " in told
    assert "1 hung or died, 3 differed. On 6 nodes." in told
    assert "What is right is said by most of at least three devices of one class." in told
    assert "faults in more than 1.0e-04 of runs are excluded (95 %, 3 / n)" in told
    assert f"{MIG.product}, 1g.10gb, driver 580.65.06, ECC enabled 2 GPUs: 2 unclear. On 1 node." in told
    assert "Class not known 3 nodes of which no GPU could be looked at: 2 skipped, 1 hung or died." in told


@pytest.mark.parametrize("others", [0, 2])
def test_a_gpu_that_agrees_with_itself_alone_is_none_that_agreed(others: int) -> None:
    """It has a rate too, of faults that come and go; of its class's answers it says nothing."""
    alone = device(0, 0, Verdict.INCONCLUSIVE, kind=MIG, message="agrees with itself; give a record", excludes=1e-3)
    page = render_screen(screened(alone, *(device(1, gpu) for gpu in range(others)), rule="none")).decode()
    assert "1.0e-03 of runs are excluded" not in page
    assert ("In those that agreed, faults in more than 1.0e-04 of runs" in page) is bool(others)
    assert ("Where a GPU agreed, faults in more than 1.0e-04 of runs" in page) is bool(others)


def test_a_gpu_that_differs_is_told_with_digests_runs_elements_and_what_to_do() -> None:
    told = section(render_screen(mixed()), "found")
    assert "7 of 30,004, 2.3e-04 of them" in told
    assert "In the warm phase 7 of 30,000" in told
    assert "Second scan the same again" in told
    assert f"2 logits {'f' * 32} 7 205 of 1,024 3, 8, 13, 18 7, 22 5 0.125" in told
    assert f"Input Its commonest answer What counts as right 1 {'e' * 32} {RIGHT[1]}" in told
    assert "In which elements is not known" in told
    assert "kubectl cordon worker-001" in told
    assert f"nvidia-smi -q -i {uuid(1, 2)}" in told
    assert "node.kubernetes.io/unschedulable" in told
    hung = told[told.index("hangs: no word") :]
    assert "dmesg" in hung[: hung.index("node.kubernetes.io")]
    assert "It is not named. Screen it again" in told[told.index("not again in 90012 runs") :]


def test_what_was_skipped_stands_by_its_reason_and_is_no_pass() -> None:
    page = render_screen(mixed(), "ml/h100")
    told = section(page, "skipped")
    assert f"in use by 1 process: 4711 (python) 2 worker-005 {uuid(5, 4)} , worker-005 {uuid(5, 5)}" in told
    assert "tolerate node.kubernetes.io/unschedulable 2 worker-010, worker-011" in told
    assert "kubectl annotate screening h100 -n ml --overwrite assay.dev/rerun=again-1" in told
    assert "kubectl annotate" not in section(render_screen(mixed()), "skipped")
    assert "spec.record" in section(page, "unclear")


@pytest.mark.parametrize("report", [good(), mixed(), many(40)])
def test_a_rate_is_excluded_and_no_gpu_is_said_to_be_healthy(report: ScreenReport) -> None:
    page = render_screen(report).decode()
    assert "that a GPU is in order is never said" in page
    assert "healthy" not in page.lower()


def test_what_was_run_is_told_of_every_gpu_that_was_scanned_by_phase() -> None:
    told = section(render_screen(mixed()), "runs")
    assert "48 of 48 GPUs that were scanned" in told
    times = "4 in 0.03 s 30,000 in 61.5 s 488"
    assert f"worker-001 {uuid(1, 2)} ✕ {times} 2.04 ms 1,755 MHz" in told
    assert f"worker-000 {uuid(0, 0)} ✓ {times} 1.0e-04 2.04 ms 1,755 MHz" in told
    assert f"worker-003 {uuid(3, 7)} ■ 1,755 MHz" in told
    assert uuid(5, 4) not in told, "it was skipped"


def test_a_report_of_before_shows_what_it_has() -> None:
    """Without the right answers and the digests of those that differ, as older versions wrote it."""
    old = mixed()
    devices = tuple(
        each.model_copy(
            update={"differences": tuple(d.model_copy(update={"digest": "", "runs": 0}) for d in each.differences)}
        )
        for each in old.devices
    )
    told = section(render_screen(old.model_copy(update={"right": (), "devices": devices})), "found")
    assert f"1 {'e' * 32} {RIGHT[1]}" in told, "what passed is right"
    assert "2 logits 205 of 1,024" in told


def test_every_device_is_of_one_outcome() -> None:
    classes = classes_of(mixed())
    marks = {mark(each) for kind in classes for each in kind.devices}
    assert marks == {"✓", "✕", "✕?", "■", "–", "?"}
    assert [each.host for each in by_outcome(classes, "differs")] == ["worker-001", "worker-002", "worker-004"]


def test_a_page_without_any_gpu_is_whole() -> None:
    page = render_screen(screened(whole(1), rule="none"))
    assert "None." in section(page, "found")
    assert "Nothing was scanned." in section(page, "runs")
    assert "Inconclusive" in page.decode()
    nothing = mixed().model_copy(update={"devices": (), "right": (), "verdict": Verdict.INCONCLUSIVE})
    assert '<p class="headline">No GPU.</p>' in render_screen(nothing).decode()


def test_what_all_agreed_upon_is_to_be_kept() -> None:
    assert "status.report.record" in section(render_screen(good()), "found")
    by_record = good().model_copy(update={"rule": "digest"})
    for report in (mixed(), by_record):
        assert "status.report.record" not in section(render_screen(report), "found")


def test_all_of_a_class_that_die_are_no_names_and_lead_to_the_plan() -> None:
    words = "hangs: no word for 120 s; no other device of its class did better: look at the plan"
    dead = [
        device(node, 0, Verdict.INCONCLUSIVE, message=words, answers=(), confirmed=True, phases=()) for node in (1, 2)
    ]
    page = render_screen(screened(*dead))
    assert rows(page) == {"worker-001": "■?", "worker-002": "■?"}
    assert section(page, "found").count("try a plan that is known to run here") == 2
    assert "kubectl cordon" not in page.decode()


def test_a_page_of_8000_gpus_is_small_and_folds_what_agreed() -> None:
    page = render_screen(many())
    assert len(page) < 1_000_000
    text = page.decode()
    assert text.count('<td class="passed"') == 8_000 - 4 - 100
    assert "<details open><summary>4 nodes with a GPU that differs, hangs, or of which nothing can be said" in text
    assert "<details><summary>99 nodes of which a part was skipped and the rest agreed</summary>" in text
    assert "<details><summary>897 nodes all of whose GPUs agreed</summary>" in text
    assert "7,700 more are in the map, and in the report." in section(page, "runs")
    assert text.count('<li class="finding') == 4
    worst = render_screen(all_differ())
    assert len(worst) < 2_500_000
    assert worst.decode().count('<li class="finding') == 200
    assert "7,800 more are in the map, and in the report." in section(worst, "found")


@pytest.mark.parametrize("key", ["skipped", "unclear"])
def test_a_page_of_8000_gpus_with_a_reason_each_lists_a_bounded_number(key: str) -> None:
    more = {"state": "Skipped", "answers": ()} if key == "skipped" else {"kind": MIG}
    worst = [
        device(node, gpu, Verdict.INCONCLUSIVE, message=f"busy: process {8 * node + gpu}", **more)
        for node in range(1000)
        for gpu in range(8)
    ]
    few = [entry.model_copy(update={"message": "busy: process 1"}) for entry in worst[:50]]
    page = render_screen(screened(*few, *worst[50:]))
    told = section(page, key)
    assert len(page) < 2_500_000
    assert told.count("busy: process") == 200
    assert "7,751 more are in the map, and in the report." in told
    assert "more are in the map" not in section(render_screen(screened(*few)), key)


def test_what_a_name_smuggles_in_is_text() -> None:
    bad = "<script>alert(1)</script>"
    entry = device(0, 0, Verdict.FAILED, device=bad, host=bad, message=bad)
    named = render_screen(screened(entry, host=bad, subject=bad), bad, bad)
    for page in (named, render_waiting(bad, STATUS, bad, bad)):
        assert bad.encode() not in page
        assert b"&lt;script&gt;alert(1)" in page


STATUS = {
    "finished": "3/7", "run": "r-1", "startTime": "2026-11-27T02:00:00Z",
    "nodes": {"nodes": 7, "waiting": 2, "running": 1, "scanned": 2, "skipped": 1, "hung": 1},
    "unscanned": [{"node": "worker-9", "message": "<it is cordoned>"}, {"node": "worker-3", "message": "waits"}, 5],
}  # fmt: skip


def test_one_that_goes_on_says_how_far_it_is_and_judges_nothing() -> None:
    page = render_waiting("ml/h100", STATUS, "Running", "3 of 7 nodes done.")
    told = section(page, "nodes")
    assert "7 nodes: ● 2 screened, and not judged yet, ▶ 1 being screened, … 2 waiting" in told
    assert "– 1 skipped, ■ 1 did not come to an end." in told
    assert "● ● ▶ … … – ■" in told
    assert "worker-9 &lt;it is cordoned&gt; worker-3 waits" in told
    assert b"no GPU is judged before all nodes are held together" in page
    assert b"3/7" in page


@pytest.mark.parametrize("status", [{}, {"nodes": None}, {"nodes": 7, "unscanned": {}}, {"nodes": {"scanned": "x"}}])
def test_a_status_that_is_anybody_s_is_read(status: dict[str, object]) -> None:
    assert "None is known yet." in section(render_waiting("ml/h100", status, "Pending", ""), "nodes")
