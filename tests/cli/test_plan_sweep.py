"""`assay validate`, `plan`, `schema` and `run` of a sweep's file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.audits import assay
from tests.unit.api.sweeps import TEMPLATE, sweep

Capture = pytest.CaptureFixture[str]


def file(folder: Path, **changes: Any) -> str:
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(sweep(**changes)))
    return str(path)


def test_a_plan_tells_cells_price_and_next_runs(capsys: Capture, tmp_path: Path) -> None:
    schedule = {"cron": "30 2 * * *", "timeZone": "Europe/Berlin"}
    name = file(tmp_path, schedule=schedule, images=["r:10", "r:11"], budget={"gpuHours": 1}, maxParallel=8)
    done = assay(capsys, "plan", "-f", name, "--cell-seconds", "450")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[:4] == ["nightly, a sweep", "models: 2", "images: 2", "GPU products: NVIDIA-H200, NVIDIA-L4"]
    # Two models, two images; two candidates on two products and one on none.
    assert lines[4] == "20 cells, 16 of them on a GPU; 8 audits at once at most"
    assert lines[6] == "at 450 GPU seconds a cell: 2 GPU hours where every cell has changed"
    assert lines[7] == "budget: 1 GPU hours, so such a run is not begun"
    assert lines[8].startswith("next runs, in UTC: 20")
    prefix = file(tmp_path, models=None, modelPrefix={"uri": "s3://models/"}, fleet=True, template__target=None)
    done = assay(capsys, "plan", "-f", prefix)
    assert "3 cells per model and GPU product, 2 of them on a GPU" in done.out


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"schedule": {"cron": "0 2 * *"}}, "spec.schedule.cron: must be the five fields of cron"),
    ({"schedule": {"cron": "0 2 30 2 *"}}, "spec.schedule.cron: '0 2 30 2 *' is no schedule of cron"),
    ({"schedule": {"cron": "0 2 * * *", "timeZone": "CEST/Nowhere"}}, "there is no time zone 'CEST/Nowhere'"),
    ({"models": None}, "takes exactly one of models (a list) and modelPrefix"),
    ({"modelPrefix": {"uri": "s3://models/"}}, "takes exactly one of models (a list) and modelPrefix"),
    ({"fleet": True}, "remove template.target.gpuProducts, or fleet"),
    ({"template__artifacts": {"uri": "s3://audits/{model}/"}}, "spec.template.artifacts.uri: takes no {model}"),
    ({"template__checks": [{"topSecret": {}}]}, "spec.template.checks[0].topSecret: unknown check"),
    ({"template__model": {"uri": "s3://models/a.onnx"}}, "spec.template.model: unknown field"),
    (
        {"template__candidates": [{"name": "p", "backend": "tensorrt", "engine": {"uri": "s3://engines/a.plan"}}]},
        "an engine is of one model: put {model} into its URI",
    ),
    ({"budget": {"gpuHours": 0}}, "spec.budget.gpuHours"),
    ({"models": [{"name": "a b", "uri": "s3://models/a.onnx"}]}, "spec.models[0].name: must be letters"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "words"), WRONG)
def test_what_is_wrong_is_said_in_one_sentence(
    capsys: Capture, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    done = assay(capsys, "validate", "-f", file(tmp_path, **changes))
    assert done.code == 64
    (line,) = done.out.splitlines()
    assert line.startswith("nightly: ")
    assert words in line


def test_a_right_one_is_ok_and_only_a_cluster_runs_it(capsys: Capture, tmp_path: Path) -> None:
    name = file(tmp_path, template__candidates=TEMPLATE["candidates"])
    assert assay(capsys, "validate", "-f", name).out == "nightly: ok\n"
    done = assay(capsys, "run", "-f", name)
    assert done.code == 64
    assert "nightly is an AccuracySweep, which runs in a cluster" in done.err
    schema = json.loads(assay(capsys, "schema", "sweep").out)
    assert schema["title"] == "AccuracySweep"
    assert (
        "finite"
        in schema["properties"]["spec"]["properties"]["template"]["properties"]["checks"]["items"]["properties"]
    )
