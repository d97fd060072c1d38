"""Sets that pass where they are searched and by a little not elsewhere: the search is told what was missing."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from assay_api.report import Finding, Verdict
from assay_runner.errors import CannotBuild
from assay_runner.remedies import auditing
from assay_runner.remedies.scarce import MOST, ROUNDS, Lack, lacking
from assay_runner.report import render_html
from assay_runner.tensors import Array
from tests.models import constant, model, node, random, value
from tests.runner.remedies.repairs import INT8, Repaired, repaired, staged

WIDTH, BLOCKS, LIMIT = 32, 6, 17.0


def products() -> onnx.ModelProto:
    """Blocks of two products; one has a channel 3,000 times as large as the others, too large for INT8."""
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    source = "x"
    for block in range(BLOCKS):
        up = random(WIDTH, 2 * WIDTH, seed=100 + block) / np.float32(WIDTH**0.5)
        down = random(2 * WIDTH, WIDTH, seed=200 + block) / np.float32((2 * WIDTH) ** 0.5)
        if block == 3:
            up[:, 0] *= 3000
            down[0, :] /= 3000
        nodes += [
            node("MatMul", f"{source} up{block}", f"u{block}"),
            node("Relu", f"u{block}", f"a{block}"),
            node("MatMul", f"a{block} down{block}", f"d{block}"),
            node("Add", f"{source} d{block}", f"y{block}"),
        ]
        weights += [constant(f"up{block}", up), constant(f"down{block}", down)]
        source = f"d{block}" if block == 3 else f"y{block}"
    nodes[-1].output[0] = "y"
    return model(nodes, [value("x", "N", WIDTH)], [value("y", "N", WIDTH)], weights)


def found(folder: Path, **fields: Any) -> Repaired:
    """Of 200 samples half are searched with; of the others two are far from all that was calibrated with."""
    x = random(200, WIDTH, seed=7)
    staged(folder, products(), {"x": x}, {"x": x[:64]})
    given = {
        "candidates": [INT8],
        "dataset": {"uri": "file://./data/", "batch": 50},
        "remedies": {"precision": {"to": ["fp32"]}},
        "checks": [{"outputDrift": {"snr": LIMIT}}],
    }
    return repaired(folder, **{**given, **fields})


def worst(path: Path, inputs: Array) -> float:
    """The lowest SNR of a sample in dB, by bare ONNX Runtime."""
    given, made = (
        onnxruntime.InferenceSession(proto, providers=["CPUExecutionProvider"]).run(None, {"x": inputs})[0]
        for proto in (products().SerializeToString(), path.read_bytes())
    )
    noise = ((given.astype(np.float64) - made) ** 2).sum(1)
    return float((10 * np.log10((given.astype(np.float64) ** 2).sum(1) / noise)).min())


def test_what_was_missing_is_asked_for_where_nodes_are_searched(tmp_path: Path) -> None:
    cured = found(tmp_path)
    looked = [trial for trial in cured.trials if trial.split != "search"]
    # Of the half that tells a search what is missing as often as needed, of the other half once.
    assert [trial.split for trial in looked] == ["told"] * (len(looked) - 1) + ["last"]
    assert [trial.verdict for trial in looked] == [Verdict.FAILED] * (len(looked) - 1) + [Verdict.PASSED]
    assert 1 < len(looked) <= 1 + ROUNDS
    assert cured.remedy.outcome == "Cured"
    assert (cured.entry.search_samples, cured.entry.unseen_samples, cured.entry.told_samples) == (100, 100, 50)
    assert cured.remedy.message.endswith(
        "it passes on 50 samples that no search has seen and that nothing had looked at before; 50 others had told the "
        "search what was missing"
    )
    page = str(render_html(cured.report))
    assert "100 others, which no search has seen, once; where 50 of them told a search what was missing, on" in page
    less = "a set with less" if len(looked) == 2 else f"{len(looked) - 1} sets with less"
    assert f"to spare, as {less} passed on the samples that are searched with and not on the others" in (
        cured.remedy.message
    )
    # One candidate stands for all of them, and what is laid out is right on every sample.
    assert [each.name for each in cured.report.candidates] == ["int8-precision"]
    assert {each.candidate for each in cured.report.findings} == {"int8-precision"}
    assert cured.remedy.wide.keys() > {"d3.node"}
    assert worst(cured.model, random(200, WIDTH, seed=7)) >= LIMIT


def test_what_was_found_first_stands_where_more_nodes_than_may_be_wide_would_be_needed(tmp_path: Path) -> None:
    told = found(tmp_path, remedies={"precision": {"to": ["fp32"], "mostNodes": 1}})
    assert (told.remedy.outcome, set(told.remedy.wide)) == ("SearchOnly", {"d3.node"})
    assert [trial.split for trial in told.trials if trial.split != "search"] == ["told"]
    assert told.remedy.message.endswith("and fails on 50 samples that it had not seen")
    assert "to spare" not in told.remedy.message
    assert worst(told.model, random(200, WIDTH, seed=7)) < LIMIT


def samples_of(folder: Path) -> tuple[Array, Array]:
    """Samples that the set which is found first gets right, and those that it misses by a little."""
    first = found(folder, remedies={"precision": {"to": ["fp32"], "mostNodes": 1}}).model
    x = random(200, WIDTH, seed=7)
    kept = [worst(first, x[at : at + 1]) for at in range(len(x))]
    order = np.argsort(kept)
    return x[order[-100:]], x[[at for at in order if LIMIT - 30 * MOST < kept[at] < LIMIT]]


def judged(folder: Path, search: Array, others: Array) -> Repaired:
    """Searched with some samples, and judged on others."""
    x = np.concatenate([search, others])
    staged(folder, products(), {"x": x}, {"x": random(200, WIDTH, seed=7)[:64]})
    return repaired(
        folder,
        candidates=[INT8],
        dataset={"uri": "file://./data/", "batch": len(x)},
        remedies={"precision": {"to": ["fp32"]}, "searchShare": len(search) / len(x)},
        checks=[{"outputDrift": {"snr": LIMIT}}],
    )


@pytest.mark.parametrize("few", [True, False], ids=["one sample", "two samples"])
def test_where_none_can_be_kept_back_no_search_is_told_and_that_is_said(few: bool, tmp_path: Path) -> None:
    right, wrong = samples_of(tmp_path / "all")
    told = judged(tmp_path / "few", right[:18], wrong[:1] if few else np.concatenate([wrong[-1:], right[18:19]]))
    looked = [trial.split for trial in told.trials if trial.split != "search"]
    if few:
        assert (told.remedy.outcome, looked) == ("SearchOnly", ["unseen"])
        assert told.remedy.message.endswith(
            "and fails on 1 samples that it had not seen; it lacks little, but of 1 sample none can be kept back for a "
            "second verdict, so no other search was told of it: give the dataset more samples"
        )
    else:
        assert looked[0] == "told"
        assert looked.count("last") <= 1
        assert "none can be kept back" not in told.remedy.message


def test_what_is_looked_at_last_decides_alone_and_nothing_is_searched_for_after_it(tmp_path: Path) -> None:
    """Of four unseen samples the two that tell are right at once; of the others one is not."""
    right, wrong = samples_of(tmp_path / "all")
    told = judged(tmp_path / "few", right[:4], np.concatenate([right[4:6], wrong[:1], right[6:7]]))
    assert (told.remedy.outcome, set(told.remedy.wide)) == ("SearchOnly", {"d3.node"})
    assert [trial.split for trial in told.trials if trial.split != "search"] == ["unseen"]
    assert told.remedy.message.endswith(
        "fails on 4 samples that it had not seen; it lacks little, but all samples have been looked at: give the "
        "dataset more, and repair it again"
    )


def test_a_second_part_tells_where_the_first_is_right_at_once(tmp_path: Path) -> None:
    """Of eight unseen samples four are right at once, two tell what is missing, and two are kept for the verdict."""
    right, wrong = samples_of(tmp_path / "all")
    told = judged(
        tmp_path / "few", right[:8], np.concatenate([right[8:12], wrong[-2:-1], right[12:13], wrong[-1:], right[13:14]])
    )
    looked = [trial.split for trial in told.trials if trial.split != "search"]
    assert looked == ["told"] * (len(looked) - 1) + ["last"]
    assert len(looked) > 1
    assert (told.remedy.outcome, told.entry.told_samples) == ("Cured", 6)
    assert told.remedy.message.endswith(
        "it passes on 2 samples that no search has seen and that nothing had looked at before; 6 others had told the "
        "search what was missing"
    )


def test_what_was_found_first_stands_where_the_next_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound, asked = auditing.audited, itertools.count()

    def refusing(*given: Any) -> Any:
        if next(asked):
            raise CannotBuild("the builder refuses it")
        return sound(*given)

    monkeypatch.setattr("assay_runner.tasks.cures.audited", refusing)
    told = found(tmp_path)
    assert next(asked) > 1
    assert (told.remedy.outcome, set(told.remedy.wide)) == ("SearchOnly", {"d3.node"})
    assert [each.name for each in told.report.candidates] == ["int8-precision"]
    assert [each.check for each in told.report.findings] == ["outputDrift"]


def finding(check: str, metric: str | None, value: float | None, limit: float | None) -> Finding:
    return Finding(
        candidate="c", check=check, verdict=Verdict.FAILED, message="m", metric=metric, value=value, limit=limit
    )


@pytest.mark.parametrize(
    ("findings", "wanted"),
    [
        ([finding("outputDrift", "snr", 14.0, 17.0)], Lack("snr", 0.1)),
        ([finding("outputDrift", "snr", 14.0, 17.0), finding("outputDrift", "maxAbs", 1.2, 1.0)], Lack("maxAbs", 0.2)),
        ([finding("outputDrift", "snr", 17.0 - 30 * MOST - 0.1, 17.0)], None),
        ([finding("outputDrift", "snr", float("nan"), 17.0)], None),
        ([finding("outputDrift", "snr", 14.0, 17.0), finding("finite", "nonFinite", 1.0, 0.0)], None),
        ([finding("labelAccuracy", "top1Kept", 0.98, 0.99)], None),
        ([], None),
    ],
)
def test_what_is_a_matter_of_samples(findings: list[Finding], wanted: Lack | None) -> None:
    lack = lacking(findings)
    assert (lack.metric if lack else None) == (wanted.metric if wanted else None)
    assert (lack.margin if lack else 0) == pytest.approx(wanted.margin if wanted else 0)
