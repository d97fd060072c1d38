"""The mAP that examples/metrics ships is COCO's own: pycocotools 2.0.11 says so (coco_opinion.py)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.coco_opinion import CASES, made

RECORDED = {"close": 0.444506637556839, "apart": 0.07622559382759127, "few": 0.28495692965529623}


@pytest.fixture
def metric(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "examples" / "metrics"))
    import assay_example_metrics  # type: ignore[import-not-found]

    yield assay_example_metrics.MeanAveragePrecision()
    sys.modules.pop("assay_example_metrics")


def scored(metric: Any, detections: Any, boxes: Any) -> list[Any]:
    found: list[Any] = metric.score({}, {"detections": detections}, {"boxes": boxes})
    return found


@pytest.mark.parametrize("name", RECORDED)
def test_it_is_pycocotools_figure(metric: Any, name: str) -> None:
    assert metric.reduce(scored(metric, *made(*CASES[name]))) == pytest.approx(RECORDED[name], abs=1e-12)


def test_what_is_perfect_is_1_and_what_is_missing_lowers_it(metric: Any) -> None:
    _, boxes = made(1, 0.0)
    rows = np.nan_to_num(np.concatenate([boxes[..., :4], np.full((*boxes.shape[:2], 1), 0.9), boxes[..., 4:]], axis=2))
    rows[np.isnan(boxes[..., 0]), 4] = 0
    assert metric.reduce(scored(metric, rows, boxes)) == 1
    rows[:20, :, 4] = 0
    assert 0.3 < metric.reduce(scored(metric, rows, boxes)) < 0.7
    assert metric.reduce(scored(metric, rows * 0, boxes)) == 0
    assert np.isnan(metric.reduce(scored(metric, rows, boxes * np.nan))), "no box, no figure"


def test_batches_of_any_size_give_the_same(metric: Any) -> None:
    detections, boxes = made(1, 1.0)
    parts = [s for at in range(0, len(boxes), 7) for s in scored(metric, detections[at : at + 7], boxes[at : at + 7])]
    assert metric.reduce(parts) == pytest.approx(RECORDED["close"], abs=1e-12)
