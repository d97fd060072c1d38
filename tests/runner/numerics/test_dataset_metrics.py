"""Metrics that see several outputs and targets of any kind, and reduce the dataset to one figure."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay_api.model import parse
from assay_api.report import Finding, Verdict
from assay_runner.checks import CHECKS
from assay_runner.errors import InvalidInput
from assay_runner.statistics.bootstrap import reduced
from tests.models import Samples, mlp, random
from tests.runner.numerics.candidates import int8, measured
from tests.wire import details

TEXT = np.array([f"sample {index}" for index in range(60)])
BOXES = random(60, 3, 4)
DATA = Samples({"x": random(60, 8)}, np.arange(60) % 4, targets={"said": TEXT, "boxes": BOXES})
CODE = '''
import numpy as np

class Both:
    """Errors over words: a ratio of sums, from text, boxes and class labels."""
    def score(self, golden, candidate, labels):
        assert labels["said"].dtype.kind == "U" and labels["boxes"].shape[1:] == (3, 4)
        assert labels["labels"].dtype == np.int64 and set(golden) == set(candidate) == {"logits"}
        wrong = candidate["logits"].argmax(axis=1) != golden["logits"].argmax(axis=1)
        return np.stack([wrong, [len(said.split()) for said in labels["said"]]], axis=1)
    def reduce(self, counts):
        errors, words = counts.sum(axis=0)
        return 1 - errors / words

class Ragged:
    """Keeps lists of any length."""
    def score(self, golden, candidate, labels):
        return [[float(v) for v in row[: 1 + i % 3]] for i, row in enumerate(candidate["logits"])]
    def reduce(self, lists):
        assert isinstance(lists, list)
        return float(np.exp(np.mean([v for one in lists for v in one])))

class Rows:
    """No reduction: one number per sample."""
    def score(self, golden, candidate, labels):
        return np.ones(len(candidate["logits"]))

class Never:
    def score(self, golden, candidate, labels):
        return np.ones(len(candidate["logits"]))
    def reduce(self, rows):
        return float("nan")

class Misses(Never):
    def score(self, golden, candidate, labels):
        return labels["nowhere"]

class Short(Never):
    def score(self, golden, candidate, labels):
        return [1]

class Fails(Never):
    def reduce(self, rows):
        raise ValueError("no figure")

class Few(Never):
    resamples = 3

class Nothing:
    reduce = None

class Greedy(Never):
    def score(self, golden, candidate, labels):
        labels["boxes"][:] = 0
'''
NAMES = ("Both", "Ragged", "Rows", "Never", "Misses", "Short", "Fails", "Few", "Nothing", "Greedy")


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A distribution with these metrics, as pip would leave it."""
    folder = tmp_path / "site"
    info = folder / "whole_metrics-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "whole_metrics_for_tests.py").write_text(CODE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: whole-metrics\nVersion: 1.0\n")
    lines = "\n".join(f"{name} = whole_metrics_for_tests:{name}" for name in NAMES)
    (info / "entry_points.txt").write_text("[assay.metrics]\n" + lines + "\n")
    monkeypatch.syspath_prepend(str(folder))
    yield
    sys.modules.pop("whole_metrics_for_tests", None)


def judged(folder: Path, name: str, candidate: Any = "fp16", data: Samples = DATA, **given: Any) -> Finding:
    made = parse(CHECKS["metric"], {"name": name, **given})
    calibration = Samples({"x": random(8, 8) / 50})
    [found] = measured(mlp(), candidate, data, folder, made, calibration=calibration).findings
    return found


def test_text_boxes_and_labels_reach_a_metric_that_reduces(tmp_path: Path) -> None:
    found = judged(tmp_path, "Both")
    assert (found.verdict, found.metric, found.value) == (Verdict.PASSED, "kept", 1)
    assert details(found)["resamples"] == 1000
    assert details(found)["low"] == details(found)["high"] == 1


def test_a_loss_beyond_its_interval_fails_and_names_the_worst_sample(tmp_path: Path) -> None:
    found = judged(tmp_path, "Both", int8(method="minmax"), atLeast=0.99)
    told = details(found)
    assert (found.verdict, found.metric) == (Verdict.FAILED, "score")
    assert told["low"] <= found.value <= told["high"] < 0.99
    assert f"sample {told['worstSample']} lost most" in found.message


def test_what_the_samples_do_not_settle_is_inconclusive(tmp_path: Path) -> None:
    loss = 1 - (judged(tmp_path, "Both", int8(method="minmax")).value or 0)
    assert loss > 0
    found = judged(tmp_path, "Both", int8(method="minmax"), keep=1 - loss)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "do not settle it" in found.message


def test_too_few_samples_have_no_interval(tmp_path: Path) -> None:
    few = Samples({"x": DATA.arrays["x"][:19]}, np.arange(19), targets={"said": TEXT[:19], "boxes": BOXES[:19]})
    found = judged(tmp_path, "Both", data=few)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "19 samples are too few for an interval: give it 20 or more" in found.message


def test_entries_may_be_lists_of_any_length(tmp_path: Path) -> None:
    assert judged(tmp_path, "Ragged", "fp32").verdict is Verdict.PASSED


def test_an_object_without_reduction_is_judged_by_its_mean(tmp_path: Path) -> None:
    found = judged(tmp_path, "Rows", atLeast=1)
    assert (found.verdict, found.metric) == (Verdict.PASSED, "mean")


def test_a_figure_that_is_none_never_passes(tmp_path: Path) -> None:
    assert judged(tmp_path, "Never", atLeast=-1e9).verdict is Verdict.FAILED
    assert judged(tmp_path, "Never").verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Misses", r"failed on the batch from sample 0: KeyError: 'nowhere' \(outputs logits; labels .*said, boxes\)"),
        ("Short", "gave 1 entries for 8 samples: it must give one each"),
        ("Fails", "failed to reduce .* samples: ValueError: no figure"),
        ("Few", "asks for 3 resamples: give a whole number of 40 or more"),
        ("Nothing", "it lacks a method"),
        ("Greedy", "failed .* read-only"),
    ],
)
def test_what_goes_wrong_is_one_sentence(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=message):
        judged(tmp_path, name)


def test_the_same_twice_and_paired() -> None:
    rng = np.random.default_rng(3)
    golden = rng.normal(10, 3, 200)
    candidate = golden - 0.1 + rng.normal(0, 0.01, 200)
    first, second = (reduced(golden, candidate, lambda rows: float(np.mean(rows))) for _ in range(2))
    assert first == second
    # What both have in common does not widen what is kept: by itself each figure moves by about 0.4 either way.
    assert first.high - first.low > 0.5
    assert first.kept_high - first.kept_low < 0.005


def test_the_interval_covers_what_it_should() -> None:
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(200):
        hits = rng.random(100) < 0.7
        found = reduced(np.ones(100), hits.astype(float), lambda rows: float(np.mean(rows)), 200)
        held += found.low <= 0.7 <= found.high
    assert 0.9 <= held / 200 <= 0.99


def test_a_draw_without_figure_counts_against_both_ends() -> None:
    rows = np.zeros(20)
    rows[0] = 1
    found = reduced(rows, rows, lambda rows: 1.0 if np.any(rows) else float("nan"))
    assert (found.low, found.high) == (-np.inf, np.inf)
