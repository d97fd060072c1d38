"""Metrics of the user's own: found by entry point, fed golden and candidate, and what goes wrong in them is theirs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay_api.model import parse
from assay_api.report import Verdict
from assay_runner.checks import CHECKS, Check, parse_checks
from assay_runner.errors import InvalidInput
from assay_runner.evidence import Scores
from assay_runner.tensors import Site
from tests.evidence import proof
from tests.models import Samples, embedding, mlp, random
from tests.runner.numerics.candidates import int8, measured
from tests.unit.api.audits import spec
from tests.wire import details

DATA = Samples({"x": random(20, 8)}, np.arange(20) % 4)

CODE = """
import numpy as np

def hits(golden, candidate, labels):
    return candidate.argmax(axis=1) == golden.argmax(axis=1)

def labelled(golden, candidate, labels):
    return candidate.argmax(axis=1) == labels

def size(golden, candidate, labels):
    return np.abs(candidate).sum(axis=1, dtype=np.float64)

def same(golden, candidate, labels):
    return np.where((candidate == golden).all(axis=1), 1.0, np.nan)

def negative(golden, candidate, labels):
    return -np.ones(len(candidate))

def broken(golden, candidate, labels):
    raise ValueError("this metric\\nis broken")

def short(golden, candidate, labels):
    return 1.0

def greedy(golden, candidate, labels):
    candidate[:] = golden
    return np.ones(len(golden))

number = 3
"""


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A distribution with metrics, as pip would leave it."""
    folder = tmp_path / "site"
    info = folder / "my_metrics-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "my_metrics_for_tests.py").write_text(CODE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-metrics\nVersion: 1.0\n")
    names = ("hits", "labelled", "size", "same", "negative", "broken", "short", "greedy", "number", "lost")
    lines = "\n".join(f"{name} = my_metrics_for_tests:{name}" for name in names)
    (info / "entry_points.txt").write_text("[assay.metrics]\n" + lines + "\n")
    monkeypatch.syspath_prepend(str(folder))
    yield
    sys.modules.pop("my_metrics_for_tests", None)


def check(**given: Any) -> Check:
    return parse(CHECKS["metric"], given)


def test_a_metric_of_labels_is_held_against_goldens_own(tmp_path: Path) -> None:
    [found] = measured(mlp(), "fp16", DATA, tmp_path, check(name="labelled")).findings
    assert (found.verdict, found.metric, found.value, found.limit) == (Verdict.PASSED, "kept", 1, 0.99)
    assert details(found)["mean"] == details(found)["goldenMean"] > 0
    assert details(found)["samples"] == 20


def test_a_share_that_is_lost_fails_and_names_the_worst_sample(tmp_path: Path) -> None:
    calibration = Samples({"x": random(8, 8) / 50})
    made = check(name="size", keep=0.9)
    [found] = measured(mlp(), int8(method="minmax"), DATA, tmp_path, made, calibration=calibration).findings
    assert found.verdict is Verdict.FAILED
    assert found.value is not None
    assert found.value < 0.9
    assert f"sample {details(found)['worstSample']} lost most" in found.message


@pytest.mark.parametrize(
    ("golden", "candidate", "worst"),
    [
        ([1, 1, 1, 1], [1, 0.5, 0, 0.5], 2),
        ([1, 1, 1, 1], [1, 0, np.nan, -9], 2),
        ([np.inf, 1, 1, 1], [0, 1, np.nan, 1], 2),
    ],
    ids=["the largest loss", "NaN before a loss", "NaN before an infinite loss"],
)
def test_the_sample_that_lost_most_is_named(golden: list[float], candidate: list[float], worst: int) -> None:
    made = check(name="m", atLeast=1)
    scores = Scores(Site("t", "n", "Op"), np.array(golden, np.float64), np.array(candidate, np.float64))
    [found] = made.judge(proof(scores, check=made, samples=4))
    assert (found.verdict, details(found)["worstSample"]) == (Verdict.FAILED, worst)
    assert f"sample {worst} lost most" in found.message


@pytest.mark.parametrize("candidate", [[0.9, 0.9], [0.95, 0.9]], ids=["golden's own", "better"])
def test_where_nothing_was_lost_no_sample_lost_most(candidate: list[float]) -> None:
    made = check(name="m", atLeast=0.99)
    scores = Scores(Site("t", "n", "Op"), np.array([0.9, 0.9]), np.array(candidate))
    [found] = made.judge(proof(scores, check=made, samples=2))
    assert found.verdict is Verdict.FAILED
    assert "lost most" not in found.message


@pytest.mark.parametrize(("bound", "verdict"), [(1, Verdict.PASSED), (1.5, Verdict.FAILED)])
def test_a_bound(bound: float, verdict: Verdict, tmp_path: Path) -> None:
    [found] = measured(mlp(), "fp32", DATA, tmp_path, check(name="hits", atLeast=bound)).findings
    assert (found.verdict, found.metric, found.value) == (verdict, "mean", 1)


@pytest.mark.parametrize("bar", [{"atLeast": -1e9}, {"keep": 0.1}])
def test_nan_never_passes(bar: dict[str, float], tmp_path: Path) -> None:
    [found] = measured(mlp(), "fp16", DATA, tmp_path, check(name="same", **bar)).findings
    assert found.verdict is Verdict.FAILED
    assert details(found)["goldenMean"] == 1


def test_a_share_of_nothing_says_nothing(tmp_path: Path) -> None:
    [found] = measured(mlp(), "fp32", DATA, tmp_path, check(name="negative")).findings
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "give atLeast in place of keep" in found.message


def test_several_metrics_and_outputs_in_one_audit(tmp_path: Path) -> None:
    data = Samples({"ids": np.random.default_rng(0).integers(0, 10, (12, 3))})
    checks = check(name="size"), check(name="hits"), check(name="hits", output="y")
    found = measured(embedding(), "fp32", data, tmp_path, *checks).findings
    assert [(f.verdict, f.tensor) for f in found] == [(Verdict.PASSED, "y")] * 3


WRONG = {
    "unknown": (
        {"name": "dice"},
        r"no metric 'dice' among the entry points of group assay\.metrics: installed are .*hits",
    ),
    "fails": (
        {"name": "broken"},
        "metric 'broken' failed on the batch from sample 0: ValueError: this metric is broken",
    ),
    "one number": ({"name": "short"}, r"metric 'short' gave shape \[\] for 8 samples: it must give one number each"),
    "writes": ({"name": "greedy"}, "metric 'greedy' failed .* read-only"),
    "no function": ({"name": "number"}, "metric 'number' is my_metrics_for_tests:number, which is no function"),
    "not there": ({"name": "lost"}, "metric 'lost' cannot be imported: AttributeError"),
    "no such output": ({"name": "hits", "output": "z"}, "outputs are logits"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_goes_wrong_is_one_sentence(case: str, tmp_path: Path) -> None:
    given, message = WRONG[case]
    with pytest.raises(InvalidInput, match=message) as caught:
        measured(mlp(), "fp32", DATA, tmp_path, check(**given))
    assert "\n" not in str(caught.value)


def test_none_installed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(tmp_path / "site")])
    with pytest.raises(InvalidInput, match="none is installed"):
        measured(mlp(), "fp32", DATA, tmp_path, check(name="hits"))


def test_both_bars_are_refused() -> None:
    with pytest.raises(InvalidInput, match="not by both"):
        parse_checks(spec(checks=[{"metric": {"name": "a", "keep": 0.9, "atLeast": 1}}]))


def test_several_may_stand_in_one_audit() -> None:
    assert len(parse_checks(spec(checks=[{"metric": {"name": "a"}}, {"metric": {"name": "b"}}]))) == 2
