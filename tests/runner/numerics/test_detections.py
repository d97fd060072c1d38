"""Detections matched to golden's: against a matching by hand, and in every layout that models have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_api.model import parse
from assay_api.report import Finding, Verdict
from assay_runner.checks import CHECKS, Check
from assay_runner.errors import InvalidInput
from assay_runner.evidence import DetectionsFound, Layout
from assay_runner.passes.detections import detections
from assay_runner.statistics.detections import Detections, Outcome, Terms, corners, matched, outcome, overlaps
from assay_runner.tensors import Array, Site
from tests.evidence import proof
from tests.models import Samples, constant, model, node, value
from tests.runner.numerics.candidates import measured
from tests.runner.numerics.test_number_of_rows import boxes, selected
from tests.wire import details

TERMS = Terms(floor=0.5, change=0.1, iou=0.5, still=0.75, most=300)
NAN, INF = float("nan"), float("inf")


def check(**given: Any) -> Check:
    return parse(CHECKS["detections"], given)


def of(*rows: tuple[float, ...]) -> Detections:
    """x1, y1, x2, y2, score, class."""
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5])


def iou(one: Array, two: Array) -> float:
    """Of two boxes, as it is defined."""
    if list(one) == list(two):
        return 1.0
    width, height = (max(0.0, min(one[k + 2], two[k + 2]) - max(one[k], two[k])) for k in (0, 1))
    area = [max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1]) for box in (one, two)]
    union = sum(area) - width * height
    return float(width * height / union) if union > 0 else 0.0


def by_hand(
    golden: Detections, candidate: Detections, rows: set[int], columns: set[int], least: float, change: float
) -> dict[int, int]:
    """Candidate's index by golden's: one loop inside another."""
    found: dict[int, int] = {}
    for c in sorted(columns, key=lambda c: (-candidate.scores[c], c)):
        best, overlap = -1, 0.0
        for g in sorted(rows - found.keys()):
            ratio = iou(golden.corners[g], candidate.corners[c])
            near = abs(golden.scores[g] - candidate.scores[c]) <= change
            if golden.classes[g] == candidate.classes[c] and near and ratio >= least and ratio > overlap:
                best, overlap = g, ratio
        if best >= 0:
            found[best] = c
    return found


SIDE = st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.0, 6.0])
SCORE = st.sampled_from([0.3, 0.42, 0.45, 0.5, 0.55, 0.7, 0.9])
ROW = st.tuples(SIDE, SIDE, SIDE, SIDE, SCORE, st.sampled_from([0.0, 1.0]))
ROWS = st.lists(ROW, max_size=6)


@settings(max_examples=300, deadline=None)
@given(ROWS, ROWS)
def test_outcomes_are_those_of_a_matching_by_hand(first: Any, second: Any) -> None:
    """Ties of score and overlap, boxes without area or turned inside out, none at all, and all on one place."""
    golden, candidate = of(*first), of(*second)
    above = [{int(i) for i in np.flatnonzero(d.scores >= TERMS.floor)} for d in (golden, candidate)]
    below = [set(range(len(d.scores))) - rows for d, rows in zip((golden, candidate), above, strict=True)]
    pairs = by_hand(golden, candidate, above[0], above[1], TERMS.iou, INF)
    left = above[0] - pairs.keys(), above[1] - set(pairs.values())
    fallen = by_hand(golden, candidate, left[0], below[1], TERMS.iou, TERMS.change)
    risen = by_hand(golden, candidate, below[0], left[1], TERMS.iou, TERMS.change)
    found = outcome(golden, candidate, TERMS)
    everything = [*pairs.items(), *fallen.items(), *risen.items()]
    ratios = [iou(golden.corners[g], candidate.corners[c]) for g, c in everything]
    changes = [abs(golden.scores[g] - candidate.scores[c]) for g, c in everything]
    assert found[:7] == (
        len(above[0]),
        len(above[1]),
        len(everything),
        len(left[0]) - len(fallen),
        len(left[1]) - len(risen),
        sum(ratio < TERMS.still for ratio in ratios),
        sum(change > TERMS.change for change in changes),
    )
    assert found.least == pytest.approx(min(ratios, default=1.0))
    assert found.change == pytest.approx(max(changes, default=0.0))


@settings(max_examples=100, deadline=None)
@given(ROWS)
def test_what_is_the_same_is_found_again(rows: Any) -> None:
    found = outcome(of(*rows), of(*rows), TERMS)
    empty = Outcome(found.golden, found.golden, found.golden, 0, 0, 0, 0, 1.0, 0.0)
    boxes_with_area = [row for row in rows if row[2] > row[0] and row[3] > row[1]]
    if len(boxes_with_area) == len(rows):
        assert found._replace(rescored=0, change=0.0) == empty


def test_overlaps_of_odd_boxes() -> None:
    some = np.array([[0, 0, 2, 2], [1, 1, 1, 1], [3, 3, 1, 1], [0, 0, 1e200, 1e200], [5, 5, 6, 6]], np.float64)
    ratios = overlaps(some, some)
    assert np.isfinite(ratios).all()
    np.testing.assert_array_equal(np.diag(ratios), 1)
    assert (ratios[0, 1], ratios[0, 2], ratios[0, 4]) == (0, 0, 0)
    np.testing.assert_array_equal(overlaps(np.zeros((0, 4)), some), np.zeros((0, 5)))
    assert matched(of(), of((0, 0, 1, 1, 1, 0)), 0.5) == []


def test_forms_of_boxes() -> None:
    centre = np.array([[10, 20, 4, 8]], np.float32)
    np.testing.assert_array_equal(corners(centre, "cxcywh"), [[8, 16, 12, 24]])
    np.testing.assert_array_equal(corners(centre, "xywh"), [[10, 20, 14, 28]])
    np.testing.assert_array_equal(corners(centre, "xyxy"), [[4, 8, 10, 20]])
    np.testing.assert_array_equal(corners(np.array([[1, 8, 5, 2]]), "xyxy"), [[1, 2, 5, 8]])


def test_only_the_best_rows_are_looked_at() -> None:
    rows = [(k, k, k + 1, k + 1, 0.5 + k / 100, 0) for k in range(9)]
    found = outcome(of(*rows), of(*rows), Terms(0.5, 0.0, 0.5, 0.75, most=4))
    assert (found.golden, found.found) == (4, 4)


ODD: dict[str, tuple[tuple[float, ...], tuple[int, int]]] = {
    "score": ((0, 0, 1, 1, NAN, 0), (1, 1)),
    "box": ((0, NAN, 1, 1, 0.9, 0), (1, 1)),
    "class": ((0, 0, 1, 1, 0.9, NAN), (1, 1)),
    "infinite score": ((0, 0, 1, 1, INF, 0), (1, 1)),
    "masked": ((0, 0, 1, 1, -INF, 0), (1, 0)),
    "padding": ((NAN, NAN, NAN, NAN, 0.0, 0), (1, 0)),
}


@pytest.mark.parametrize("case", ODD)
def test_what_is_not_finite_is_no_detection(case: str) -> None:
    row, (lost, gained) = ODD[case]
    layout = Layout(score_column=4, class_column=5)
    golden, candidate = (
        detections({"boxes": np.array([one], np.float32)}, {"boxes": "y"}, layout, TERMS.floor)
        for one in ((0, 0, 1, 1, 0.9, 0), row)
    )
    found = outcome(golden, candidate, TERMS)
    assert (found.lost, found.gained) == (lost, gained)
    both = outcome(candidate, candidate, TERMS)
    assert (both.lost, both.gained) == (0, 0)


def truth(samples: int = 12, rows: int = 5) -> Array:
    """Boxes far from one another, of three classes, rows x1, y1, x2, y2, score, class; all of score 0.5 to 0.9."""
    rng = np.random.default_rng(2)
    corner = np.arange(rows)[None, :, None] * 100 + rng.random((samples, rows, 2)) * 20
    score, kind = rng.random((samples, rows, 1)) * 0.4 + 0.5, rng.integers(0, 3, (samples, rows, 1))
    return np.concatenate([corner, corner + 40, score, kind], axis=2).astype(np.float32)


def scores_of(table: Array) -> Array:
    """(samples, rows, 3): a score for each class, the row's own the best."""
    found = np.full((*table.shape[:2], 3), 0.05, np.float32)
    np.put_along_axis(found, table[:, :, 5:].astype(np.int64), table[:, :, 4:5], axis=2)
    return found


def centres(table: Array) -> Array:
    size = table[:, :, 2:4] - table[:, :, :2]
    return np.concatenate([table[:, :, :2] + size / 2, size], axis=2)


def given_back(*arrays: tuple[str, Array], batch: int | str = "N") -> onnx.ModelProto:
    """A model whose outputs are its inputs."""
    nodes = [node("Identity", f"{name}_in", name) for name, _ in arrays]
    ins = [value(f"{name}_in", batch, *array.shape[1:]) for name, array in arrays]
    return model(nodes, ins, [value(name, batch, *array.shape[1:]) for name, array in arrays])


T = truth()
LAYOUTS: dict[str, tuple[dict[str, Array], dict[str, Any]]] = {
    "rows": ({"y": T}, {"scoreColumn": 4, "classColumn": 5}),
    "columns first": ({"y": T.transpose(0, 2, 1)}, {"columns": "first", "scoreColumn": 4, "classColumn": 5}),
    "other columns": (
        {"y": T[:, :, [4, 5, 0, 1, 2, 3]]},
        {"boxColumns": [2, 3, 4, 5], "scoreColumn": 0, "classColumn": 1},
    ),
    "yolo 8": (
        {"y": np.concatenate([centres(T), scores_of(T)], axis=2).transpose(0, 2, 1)},
        {"columns": "first", "format": "cxcywh", "classScoresFrom": 4},
    ),
    "yolo 5": (
        {"y": np.concatenate([centres(T), np.ones_like(T[:, :, :1]), scores_of(T)], axis=2)},
        {"format": "cxcywh", "scoreColumn": 4, "classScoresFrom": 5},
    ),
    "three outputs": (
        {"labels": T[:, :, 5], "boxes": T[:, :, :4], "scores": T[:, :, 4]},
        {"boxes": "boxes", "scores": "scores", "classes": "labels"},
    ),
    "scores by class": ({"boxes": T[:, :, None, :4], "scores": scores_of(T)}, {"scores": "scores"}),
    "y first, in shares": (
        {"boxes": T[:, :, [1, 0, 3, 2]] / 640, "scores": T[:, :, 4], "classes": T[:, :, 5]},
        {"scores": "scores", "classes": "classes"},
    ),
    "counted": (
        {
            "boxes": np.concatenate([T[:, :, :4], T[:, :, :4] * 3], axis=1),
            "scores": np.concatenate([T[:, :, 4], T[:, :, 4]], axis=1),
            "count": np.full((12, 1), 5, np.float32),
        },
        {"scores": "scores", "count": "count"},
    ),
}


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("case", LAYOUTS)
def test_detections_are_read_from_every_layout(case: str, batch: int, tmp_path: Path) -> None:
    arrays, told = LAYOUTS[case]
    proto = given_back(*arrays.items())
    data = Samples({f"{name}_in": array for name, array in arrays.items()}, batch=batch)
    [found] = measured(proto, "bf16", data, tmp_path, check(minScore=0.45, **told)).findings
    assert found.verdict is Verdict.PASSED, found.message
    kept = details(found)
    assert (kept["golden"], kept["found"], kept["lost"], kept["gained"]) == (60, 60, 0, 0)


def judged(own: Array, folder: Path, **more: Any) -> Finding:
    """What becomes of the detections where the candidate's boxes and scores are these, added to golden's."""
    proto, mine = (model([node("Add", "x shift", "y")], [value("x", 1, 5, 6)], [value("y", 1, 5, 6)]) for _ in "ab")
    proto.graph.initializer.append(constant("shift", np.zeros(6, np.float32)))
    mine.graph.initializer.append(constant("shift", own.astype(np.float32)))
    data = Samples({"x": T}, batch=1, fixed=True)
    terms = {"scoreColumn": 4, "classColumn": 5, "minScore": 0.45} | more
    [found] = measured(proto, "fp32", data, folder, check(**terms), own=mine).findings
    return found


SHIFTS: dict[str, tuple[list[float], str | None]] = {
    "nothing": ([0, 0, 0, 0, 0, 0], None),
    "a little": ([1, 0, 1, 0, 0.02, 0], None),
    "moved": ([8, 0, 8, 0, 0, 0], "movedDetections"),
    "elsewhere": ([50, 50, 50, 50, 0, 0], "lostDetections"),
    "another class": ([0, 0, 0, 0, 0, 1], "lostDetections"),
    "weaker": ([0, 0, 0, 0, -0.3, 0], "lostDetections"),
    "stronger": ([0, 0, 0, 0, 0.3, 0], "rescoredDetections"),
    "not a number": ([0, 0, 0, 0, NAN, 0], "lostDetections"),
}


@pytest.mark.parametrize("case", SHIFTS)
def test_what_is_judged(case: str, tmp_path: Path) -> None:
    shift, metric = SHIFTS[case]
    found = judged(np.array(shift), tmp_path)
    assert (found.verdict, found.metric) == (
        Verdict.FAILED if metric else Verdict.PASSED,
        metric or "lostDetections",
    ), found.message


def test_a_score_that_falls_just_below_the_floor_is_not_lost(tmp_path: Path) -> None:
    """Scores of 0.5 and more, all lowered by 0.06, at a floor of 0.5."""
    found = judged(np.array([0, 0, 0, 0, -0.06, 0]), tmp_path, minScore=0.5)
    assert found.verdict is Verdict.PASSED
    assert details(found)["candidate"] < details(found)["golden"]
    strict = judged(np.array([0, 0, 0, 0, -0.06, 0]), tmp_path / "b", minScore=0.5, scoreChange=0.01)
    assert (strict.verdict, strict.metric) == (Verdict.FAILED, "lostDetections")


def test_the_worst_sample_is_named() -> None:
    outcomes = np.tile(np.array([10, 10, 10, 0, 0, 0, 0, 1.0, 0.0]), (20, 1))
    outcomes[7, 2:4] = 7, 3
    mine = check(scoreColumn=4)
    [found] = mine.judge(proof(DetectionsFound(Site("y"), outcomes), check=mine, samples=20))
    assert found.verdict is Verdict.FAILED
    assert "of golden's 200 detections 3 are lost, 1.5 %, and no more than 1 % may be" in found.message
    assert "most in sample 7: 3, where golden has 10" in found.message
    assert details(found)["worstSample"] == 7


def test_nothing_detected_says_nothing(tmp_path: Path) -> None:
    found = judged(np.zeros(6), tmp_path, minScore=2)
    assert (found.verdict, "golden detects nothing" in found.message) == (Verdict.INCONCLUSIVE, True)
    gained = judged(np.array([0, 0, 0, 0, 2, 0]), tmp_path / "b", minScore=2)
    assert (gained.verdict, gained.metric, gained.value) == (Verdict.FAILED, "gainedDetections", 60)


@pytest.mark.parametrize("batch", [1, 8])
def test_rows_that_name_their_sample(batch: int, tmp_path: Path) -> None:
    """What NonMaxSuppression selects, [n, 6]: image, box, score; with a higher bar in the candidate some are lost."""
    x = boxes()
    least = float(np.sort(x[:, :, 4].reshape(-1))[-40]) + 1e-4
    bar = float(np.sort(x[:, :, 4].reshape(-1))[-36]) + 1e-4
    data = Samples({"x": x}, batch=batch)
    mine = check(boxes="rows", boxColumns=[1, 2, 3, 4], scoreColumn=5, minScore=least, scoreChange=0)
    [found] = measured(selected(least), "fp32", data, tmp_path, mine, own=selected(bar)).findings
    assert (found.verdict, found.metric) == (Verdict.FAILED, "lostDetections")
    kept = details(found)
    assert (kept["golden"], kept["candidate"], kept["lost"], kept["gained"]) == (39, 35, 4, 0)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "column": ({"scoreColumn": 9}, "detections reads column 9 of output 'y', which has 6"),
    "axis": ({"scoreColumn": 5, "columns": "first"}, "detections reads column 5 of output 'y', which has 5"),
    "scores": ({"scores": "other"}, "of shape [7] in a sample with 5 boxes"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_there_is_named(case: str, tmp_path: Path) -> None:
    told, words = WRONG[case]
    arrays = {"y": T, "other": np.zeros((12, 7), np.float32)}
    data = Samples({f"{name}_in": array for name, array in arrays.items()}, batch=4)
    with pytest.raises(InvalidInput) as caught:
        measured(given_back(*arrays.items()), "fp32", data, tmp_path, check(**told))
    assert words in str(caught.value)


def test_without_an_axis_of_samples_the_way_out_is_told(tmp_path: Path) -> None:
    proto = selected(0.5)
    proto.graph.node.append(node("Sqrt", "rows", "roots"))
    proto.graph.output.append(value("roots", "n", 6))
    mine = check(boxes="roots", boxColumns=[1, 2, 3, 4], scoreColumn=5)
    with pytest.raises(InvalidInput, match=r"set dataset\.batch to 1"):
        measured(proto, "fp32", Samples({"x": boxes()}), tmp_path, mine)


def test_every_layout_of_the_documentation_is_one() -> None:
    lines = (Path(__file__).parents[3] / "docs" / "detections.md").read_text().splitlines()
    told = [re.findall(r"`(\{.*\})`", line) for line in lines if line.startswith("|")]
    layouts = [yaml.safe_load(found[-1]) for found in told if found]
    assert len(layouts) == 7
    for layout in layouts:
        check(**layout)
