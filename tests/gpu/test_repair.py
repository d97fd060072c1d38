"""Candidates that fail as engines are cured: built, read back, and judged on data that no search has seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import onnx
import pytest

from assay_api.model import parse
from assay_api.repair import RemedyEntry, RepairEntry
from assay_api.report import Report, Verdict
from tests.gpu.audits import Audited, audit, run, trt

pytestmark = pytest.mark.usefixtures("gpu")

DIGITS: Final = Path(__file__).parents[2] / "examples" / "digits"
CHECKS: Final = ("outputDrift", {"labelAccuracy": {"keep": 0.97}})
MOST_BUILDS: Final = 4
"""To the final answer; a bisection of 100 layers needs 8."""


def repaired(folder: Path, candidate: dict[str, Any], **remedies: Any) -> tuple[Audited, RepairEntry]:
    """The decomposed digits transformer, audited and repaired."""
    document = audit(
        "repair", DIGITS / "digits-vit-decomposed.onnx", DIGITS / "data", [candidate], CHECKS, batch=64, labels="label"
    )
    document["spec"]["remedies"] = remedies
    told = run(document, folder)
    [entry] = parse(Report, json.loads((told.out / "repair" / "report.json").read_bytes())).repair
    return told, entry


def cure(entry: RepairEntry) -> RemedyEntry:
    """The one remedy's, which cured."""
    [found] = entry.remedies
    print(found.outcome, found.minimal, found.message)
    for trial in entry.trials:
        print(trial.number, trial.oracle, trial.split, trial.wide, trial.verdict, f"{trial.seconds:.1f} s", trial.words)
    assert found.outcome == "Cured", found.message
    return found


def test_nodes_that_overflow_are_kept_wide_and_stay_so(tmp_path: Path) -> None:
    told, entry = repaired(tmp_path, trt("fp16", typing="strong"), precision={"rewrite": False})
    found = cure(entry)
    assert entry.builds <= MOST_BUILDS
    assert 0 < len(found.wide) <= 24
    assert all(".norm" in name or name.startswith("norm") for name in found.wide)
    engine = told.candidate(found.repaired or "")
    assert engine.verdict is Verdict.PASSED
    assert not engine.emulated
    assert engine.typing == "strong"
    assert found.deploy.plan
    assert found.deploy.timing_cache
    model = onnx.load((found.deploy.model or "").removeprefix("file://"))
    onnx.checker.check_model(model)
    kinds = {cast.attribute[0].i for cast in model.graph.node if cast.op_type == "Cast"}
    assert kinds & {onnx.TensorProto.BFLOAT16, onnx.TensorProto.FLOAT}


def test_a_layer_norm_as_one_operator_needs_nothing_wide(tmp_path: Path) -> None:
    told, entry = repaired(tmp_path, trt("fp16", typing="strong"), precision={})
    found = cure(entry)
    assert entry.builds <= MOST_BUILDS
    assert told.candidate(found.repaired or "").verdict is Verdict.PASSED


@pytest.mark.parametrize(("precision", "repair_of"), [("fp16", "fp16"), ("fp32", None)])
def test_the_command_lays_out_an_engine(tmp_path: Path, precision: str, repair_of: str | None) -> None:
    """Of a repair, and of a candidate that needs none."""
    candidate = trt(precision, typing="strong")
    document = audit(
        "laid-out",
        DIGITS / "digits-vit-decomposed.onnx",
        DIGITS / "data",
        [candidate],
        CHECKS,
        batch=64,
        labels="label",
    )
    document["spec"]["remedies"] = {"precision": {}}
    told = run(document, tmp_path, "repair")
    assert told.code == 0
    recommended = told.out / "recommended"
    note = json.loads((recommended / "recommended.json").read_text())
    assert note.get("repairOf") == (candidate["name"] if repair_of else None)
    assert {"model.onnx", "model.plan", "timing.cache", "reproduce.sh"} <= set(note["files"])
    assert sorted([*note["files"], "recommended.json"]) == sorted(path.name for path in recommended.iterdir())
    onnx.checker.check_model(onnx.load(str(recommended / "model.onnx")))
