"""Sets that pass where they are searched and by a little not elsewhere: the search is told what was missing."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from assay_api.report import Verdict
from assay_runner.errors import CannotBuild
from assay_runner.remedies import auditing
from assay_runner.remedies.scarce import MOST, ROUNDS
from assay_runner.report import render_html
from assay_runner.tensors import Array
from tests.models import node, random
from tests.runner.remedies.repairs import INT8, Repaired, repaired, staged
from tests.runner.remedies.scarce import LIMIT, WIDTH, products


def labelled() -> onnx.ModelProto:
    """The same, which says the class too."""
    proto = products()
    proto.graph.node.append(node("ArgMax", "y", "label", axis=1, keepdims=0))
    proto.graph.output.append(onnx.helper.make_tensor_value_info("label", onnx.TensorProto.INT64, ["N"]))
    return proto


def test_an_output_of_classes_that_are_alike_has_enough_to_spare(tmp_path: Path) -> None:
    """It can be no more than alike, so that no margin is to be asked of it."""
    x = random(16, WIDTH, seed=7)
    staged(tmp_path, labelled(), {"x": x}, {"x": x})
    told = repaired(
        tmp_path,
        candidates=[INT8],
        dataset={"uri": "file://./data/", "batch": 16},
        remedies={"precision": {"to": ["fp32"]}},
        checks=[{"outputDrift": {"snr": LIMIT, "equal": 0.99}}],
    )
    assert told.remedy.outcome == "Cured"
    assert "d3.node" in told.remedy.wide


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
        "it passes on 50 samples that no search has seen; 50 others had told the search what was missing"
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
    # A search was told of half of them, though nothing came of it.
    assert told.entry.told_samples == 50
    assert "where 50 of them told a search what was missing, on the other 50" in str(render_html(told.report))


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
            "and fails on 1 samples that it had not seen; a search could be told what it lacks, but of 1 sample none "
            "can be kept back for a second verdict: give the dataset more samples"
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
        "fails on 4 samples that it had not seen; a search could be told what it lacks, but all samples have been "
        "looked at: give the dataset more, and repair it again"
    )


def test_a_second_part_tells_where_the_first_is_right_at_once(tmp_path: Path) -> None:
    """Of eight unseen samples four are right at once, two tell what is missing, and two are kept for the verdict."""
    right, wrong = samples_of(tmp_path / "all")
    told = judged(
        tmp_path / "few", right[:8], np.concatenate([right[8:12], wrong[-2:-1], right[12:13], wrong[-1:], right[13:14]])
    )
    looked = [trial.split for trial in told.trials if trial.split != "search"]
    # The second search is asked for what was missing, the third for the whole gap: these samples have 32 dB, those 12.
    assert looked == ["told", "told", "last"]
    [spared] = re.findall(r"searched with ([0-9.]+) dB to spare, as 2 sets", told.remedy.message)
    assert 18 < float(spared) < 23
    assert (told.remedy.outcome, told.entry.told_samples) == ("Cured", 6)
    assert told.remedy.message.endswith(
        "it passes on 2 samples that no search has seen; 6 others had told the search what was missing"
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
