"""The one more run that says whether an error starts at a node, by the command: of emulations, and of no engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from assay_runner.backends import BACKENDS
from assay_runner.backends.subject import Subject
from assay_runner.builds.cache import BuildRequest
from assay_runner.tasks.wider import BY_ENGINE, NOT_BUILT, OWN_PAIRS, wider_of
from tests.cli.audits import assay, report_of
from tests.models import Heard, loaded, mlp
from tests.orders import ordered
from tests.runner.numerics.candidates import build, candidate
from tests.wire import details

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits" / "overflow.yaml"


def test_the_overflow_of_the_example_starts_at_its_node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    select = ("--candidate", "fp16", "--check", "layerDrift")
    ended = assay(capsys, "run", "-f", str(EXAMPLE), *select, "--out", str(tmp_path / "out"))
    assert ended.code == 1
    assert "run once more with node bn2 in FP32" in ended.err
    [found] = [f for f in report_of(tmp_path).findings if f.check == "layerDrift"]
    assert found.message.startswith("the error starts at tensor 'bn2.out' of node 'bn2' (BatchNormalization)")
    assert details(found)["keptWide"]["nodes"][0] == "bn2"
    assert details(found)["keptWide"]["helps"] is True
    assert "golden: the model's own outputs" in ended.out
    page = (tmp_path / "out" / "report.html").read_text()
    assert "the error starts at tensor" in page


def test_no_engine_is_built_for_it_and_no_pairs_of_a_models_own_are_taken_out(tmp_path: Path) -> None:
    model = loaded(mlp(), tmp_path)
    built = build(model, candidate("fp16"), tmp_path)
    request = BuildRequest(BACKENDS["onnxruntime"], model, ordered("fp16", backend="onnxruntime"), None, "", {})

    def why(order: Any, **changes: Any) -> str:
        subject = Subject("c", BACKENDS["onnxruntime"], replace(built, **changes), model)
        opened, told = wider_of(order, subject, tmp_path, Heard())
        assert (opened is None) == bool(told)
        return told

    assert why(request) == ""
    assert why(None) == NOT_BUILT
    assert why(request, emulated=False, engine=cast(Any, object())) == BY_ENGINE
    assert why(replace(request, order=replace(request.order, precision="int8"))) == OWN_PAIRS
