"""What is decided about a sweep with an upgrade: the old engine first, the new one beside it, and a gate."""

from __future__ import annotations

import json
from typing import Any

from assay_api.names import STATUS_BYTES
from assay_operator.objects.nodes import Gpu, Gpus
from tests.reconcile.sweeps import World
from tests.unit.api.sweeps import TEMPLATE, found

OLD, NEW = "registry.example/runner:10", "registry.example/runner:11"
UPGRADE = {"fromImage": OLD, "toImage": NEW}
FP16 = TEMPLATE["candidates"][:1]
PLAN = {"name": "serving", "backend": "tensorrt", "engine": {"uri": "s3://engines/{model}.plan"}}


def world(**changes: Any) -> World:
    return World.of(**{"upgrade": UPGRADE, "template__candidates": FP16, "maxParallel": 16, **changes})


def images(world: World) -> list[str]:
    return [audit["spec"]["target"]["image"] for audit in world.audits.values()]


def steps(world: World, verdicts: dict[str, str] | None = None) -> None:
    """A few passes, and the end of what is there then."""
    world.settle()
    world.end(world.going, verdicts)


def test_the_new_engine_waits_for_the_old_one_and_is_held_against_its_report() -> None:
    told = world()
    told.settle()
    assert set(images(told)) == {OLD}
    assert len(told.audits) == 4
    olds = set(told.audits)
    steps(told)
    told.settle()
    assert images(told).count(NEW) == 4
    for name, audit in told.audits.items():
        compared = audit["spec"].get("compareWith")
        assert (compared is None) == (name in olds)
        if compared:
            made = json.loads(audit["metadata"]["annotations"]["assay.dev/cells"])
            old = next(n for n in olds if n in compared["uri"])
            assert json.loads(told.audits[old]["metadata"]["annotations"]["assay.dev/cells"])["cells"].keys() == (
                made["cells"].keys()
            )
    assert told.status.gate is not None
    assert told.status.gate.decision == "Inconclusive"
    told.run()
    assert told.status.gate is not None
    assert (told.status.gate.decision, told.status.gate.go) == ("Go", 4)
    # At rest the gate stands, and nothing is done twice.
    writes, made = told.writes, len(told.made)
    told.annotate(rerun_failed="1")
    assert told.run() == 0
    assert (len(told.made), told.writes > writes, told.status.gate.decision) == (made, True, "Go")


def test_what_the_new_image_breaks_and_what_it_cures_stands_in_the_gate() -> None:
    told = world()
    told.run({f"bert\n{OLD}/fp16@NVIDIA-L4": "Failed", f"vit\n{NEW}/fp16@NVIDIA-H200": "Failed"})
    gate = told.status.gate
    assert gate is not None
    assert (gate.decision, gate.go, gate.no_go, gate.cured) == ("NoGo", 3, 1, 1)
    (row,) = gate.worst
    assert (row.model, row.gpu_product, row.decision) == ("vit", "NVIDIA-H200", "NoGo")
    assert "it passed with the old image" in (row.message or "")


def test_an_existing_plan_is_audited_with_the_old_image_alone() -> None:
    told = world(template__candidates=[*FP16, PLAN])
    told.models = tuple(m.model_copy(update={"own": ("2" * 16,)}) for m in told.models)
    told.run({f"vit\n{OLD}/serving@NVIDIA-L4": "Failed"})
    plans = [a for a in told.audits.values() if any(c["name"] == "serving" for c in a["spec"]["candidates"])]
    assert {a["spec"]["target"]["image"] for a in plans} == {OLD}
    assert told.status.counts.cells == 4 + 4 + 4
    assert told.status.gate is not None
    assert (told.status.gate.decision, told.status.gate.plans_failed) == ("Go", 1)


def test_an_old_engine_without_an_answer_holds_nobody_up() -> None:
    told = world(models=None, modelPrefix={"uri": "s3://models/"})
    # A name that makes the dataset's URI longer than a URI may be: no audit can be made of it.
    told.models = (found("bert"), found("x" * 1100, "1" * 16))
    told.run({f"bert\n{OLD}/fp16@NVIDIA-L4": "Error"})
    gate = told.status.gate
    assert gate is not None
    assert (told.status.counts.errors, gate.decision, gate.go, gate.inconclusive) == (5, "Inconclusive", 1, 3)
    assert "no answer with the" in (gate.worst[0].message or "")


def test_a_gate_of_thousands_stays_small() -> None:
    told = world(models=None, modelPrefix={"uri": "s3://models/"}, maxParallel=256)
    names = [f"{n:04}-{'ü' * 100}" for n in range(1000)]
    told.models = tuple(found(name, f"{n:016x}") for n, name in enumerate(names))
    told.run({f"{name}\n{NEW}/fp16@{gpu}": "Failed" for name in names for gpu in ("NVIDIA-L4", "NVIDIA-H200")})
    assert told.status.gate is not None
    assert (told.status.gate.no_go, len(told.status.gate.worst)) == (2000, 5)
    assert len(json.dumps(told.raw["status"], ensure_ascii=False).encode()) <= STATUS_BYTES


def test_a_gate_of_models_with_names_of_500_letters_stays_small() -> None:
    products = [f"NVIDIA-{n:02}-".ljust(63, "X") for n in range(8)]
    told = world(
        models=None, modelPrefix={"uri": "s3://models/"}, maxParallel=256, template__target={"gpuProducts": products}
    )
    told.gpus = Gpus(tuple(Gpu(product, "570.1", 1) for product in products))
    names = [f"{n:02}-{'ü' * 505}" for n in range(12)]
    told.models = tuple(found(name, f"{n:016x}") for n, name in enumerate(names))
    told.annotate(rerun="t" * 256, rerun_failed="t" * 256)
    told.run({f"{name}\n{NEW}/fp16@{gpu}": "Failed" for name in names for gpu in products})
    told.annotate(accept_baseline=json.dumps({"why": "ü" * 256, "who": "ü" * 256}))
    told.settle()
    gate = told.status.gate
    assert gate is not None
    assert (gate.decision, gate.no_go, len(gate.worst)) == ("NoGo", 12 * 8, 5)
    assert told.status.counts.failed == 12 * 8
    assert len(json.dumps(told.raw["status"]).encode()) <= STATUS_BYTES
