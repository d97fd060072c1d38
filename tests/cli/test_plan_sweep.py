"""`assay validate`, `plan`, `schema` and `run` of a sweep's file."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay_api.names import ANNOTATION_CELLS
from assay_runner.cli import plan_sweep
from tests.cli.audits import assay
from tests.reconcile.sweeps import World, condition
from tests.unit.api.audits import audit
from tests.unit.api.sweeps import TEMPLATE, found, sweep

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


BELOW: dict[str, Any] = {"models": None, "modelPrefix": {"uri": "s3://models/"}}
ONE: dict[str, Any] = {"template__candidates": TEMPLATE["candidates"][:1]}
BUDGET: dict[str, Any] = {"budget": {"gpuHours": 0.1}}
FLEET: dict[str, Any] = {"fleet": True, "template__target": None}
ON_L4: dict[str, Any] = {"template__target": {"gpuProducts": ["NVIDIA-L4"]}}


def audited(seconds: dict[str, int], **changes: Any) -> World:
    """A sweep of seven models with a run behind it, in which the audits of some models took so long, others none."""
    world = World.of(**BELOW, **ONE, **changes)
    world.models = tuple(found(name, name * 16) for name in "abcdefg")
    for _ in range(60):
        world.now += timedelta(seconds=11)
        world.step()
        for name in world.going:
            made = json.loads(world.audits[name]["metadata"]["annotations"][ANNOTATION_CELLS])
            world.end([name], seconds=seconds.get(made["place"], 0))
        if world.status.completion_time and not world.going:
            return world
    raise AssertionError("the run never ends")


def in_cluster(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    monkeypatch.setattr(plan_sweep, "read_sweep", lambda _: (world.raw, list(world.audits.values())))


DEAR_AND_CHEAP = {"a": 3000, **dict.fromkeys("bcd", 10)}


@pytest.mark.parametrize("fleet", [True, False])
@pytest.mark.parametrize("seconds", [DEAR_AND_CHEAP, {"a": 3000}, dict.fromkeys("abcdefg", 40)])
def test_a_plan_and_the_operator_reckon_alike(
    seconds: dict[str, int], fleet: bool, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    products = FLEET if fleet else ON_L4
    world = audited(seconds, **products)
    in_cluster(monkeypatch, world)
    done = assay(capsys, "plan", "-f", file(tmp_path, **BELOW, **ONE, **products, **BUDGET), "--measured")
    assert done.code == 0, done.err
    world.change(**BELOW, **ONE, **products, **BUDGET)
    world.annotate(rerun="1")
    world.settle()
    estimated = (world.status.estimated_gpu_seconds or 0) / 3600
    (price,) = [line for line in done.out.splitlines() if "where every cell has changed" in line]
    assert price.endswith(f": {estimated:.3g} GPU hours where every cell has changed")
    refused = condition(world, "Complete")["reason"] == "OverBudget"
    assert ("so such a run is not begun" if refused else "which is enough") in done.out


def test_a_plan_says_what_it_took_and_of_whom(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = audited(DEAR_AND_CHEAP, **FLEET)
    in_cluster(monkeypatch, world)
    name = file(tmp_path, **BELOW, **ONE, **FLEET, **BUDGET)
    lines = assay(capsys, "plan", "-f", name, "--measured").out.splitlines()
    run = world.status.run
    assert lines[1] == f"models: 7, every *.onnx below s3://models/, as run {run} found them"
    assert lines[3] == f"GPU products: NVIDIA-H200, NVIDIA-L4, as run {run} found them"
    assert lines[4] == "14 cells, 14 of them on a GPU; 4 audits at once at most"
    assert lines[6].startswith(
        "at 10 to 3000 GPU seconds a cell, by the medians of 4 of 7 models, 10 for the others: 1.7 "
    )
    # Audits that go on have yet to show what they take.
    dearest = [each for each in world.audits.values() if '"a"' in each["metadata"]["annotations"][ANNOTATION_CELLS]]
    for each in dearest:
        each["status"]["conditions"][0]["status"] = "False"
    cheaper = assay(capsys, "plan", "-f", name, "--measured").out.splitlines()
    assert cheaper[6].startswith(
        "at 10 GPU seconds a cell, by the medians of 3 of 7 models, 10 for the others: 0.0389 "
    )
    # Those of an earlier sweep of the same name say nothing of this one.
    world.raw["metadata"]["uid"] = "another"
    done = assay(capsys, "plan", "-f", name, "--measured")
    assert (done.code, "has held a GPU to its end yet: give --cell-seconds instead" in done.err) == (64, True)


def test_what_is_missing_for_a_total_is_said(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = file(tmp_path, **BELOW, **ONE, **FLEET, **BUDGET)
    assert "budget: 0.1 GPU hours; --cell-seconds or --measured tells" in assay(capsys, "plan", "-f", name).out
    said = "no total, and whether the budget is enough cannot be told: "
    lines = assay(capsys, "plan", "-f", name, "--cell-seconds", "36").out.splitlines()
    assert lines[6].endswith(": 0.01 GPU hours per model and GPU product where every cell has changed")
    assert lines[7].startswith(
        f"{said}the file does not say how many models and GPU products there are; --measured asks"
    )
    # The models of another prefix are none of this one's, nor are products that a sweep names those of all nodes.
    in_cluster(monkeypatch, audited(DEAR_AND_CHEAP, **ON_L4))
    narrower = {**BELOW, "modelPrefix": {"uri": "s3://models/", "match": "a*.onnx"}}
    name = file(tmp_path, **narrower, **ONE, **FLEET, **BUDGET)
    lines = assay(capsys, "plan", "-f", name, "--measured").out.splitlines()
    assert lines[6].startswith(
        "at 10 GPU seconds a cell, the median of what its audits took: 0.00278 GPU hours per model"
    )
    told = (
        "no run in the cluster with this modelPrefix and fleet has told yet how many models and GPU products there are"
    )
    assert lines[7] == f"{said}{told}"


@pytest.mark.parametrize("option", [("--candidate", "fp16"), ("--check", "finite"), ("--backend", "onnxruntime")])
def test_an_option_for_audits_is_refused_where_there_is_a_sweep(
    option: tuple[str, str], capsys: Capture, tmp_path: Path
) -> None:
    done = assay(capsys, "plan", "-f", file(tmp_path), *option)
    assert (done.code, done.out) == (64, "")
    assert done.complaints == [f"assay: nightly is a sweep, which takes no {option[0]}: leave that out"]
    more = assay(capsys, "plan", "-f", file(tmp_path), *option, "--check", "nope", "--candidate", "nope")
    assert "which takes no " in more.err
    assert "--candidate or --check: leave that out" in more.err
    both = tmp_path / "both.yaml"
    both.write_text(yaml.safe_dump_all([audit(), sweep()]))
    assert "nightly is a sweep" in assay(capsys, "plan", "-f", str(both), *option).err


@pytest.mark.parametrize("option", [("--cell-seconds", "10"), ("--measured",)])
def test_an_option_for_sweeps_is_refused_where_there_is_none(
    option: tuple[str, ...], capsys: Capture, tmp_path: Path
) -> None:
    alone = tmp_path / "audit.yaml"
    alone.write_text(yaml.safe_dump(audit()))
    done = assay(capsys, "plan", "-f", str(alone), *option)
    assert (done.code, done.out) == (64, "")
    assert done.complaints == [f"assay: {alone} has no sweep, which {option[0]} is there for: leave that out"]


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
