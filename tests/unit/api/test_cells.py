"""The cells of a sweep: how many, what their keys depend on, and the audits that answer them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from assay_api.cells import Cell, asks, audit_spec, cell_key, expand, places
from assay_api.resolved import ModelFound
from assay_api.sweep_status import SweepTarget
from tests.unit.api.sweeps import TEMPLATE, found, spec

H200, L4 = SweepTarget(gpu_product="NVIDIA-H200", driver="570.1"), SweepTarget(gpu_product="NVIDIA-L4", driver="570.1")


def cells(
    models: tuple[ModelFound, ...] = (found("bert"),), targets: tuple[SweepTarget, ...] = (H200, L4),
    images: tuple[str, ...] = ("runner:10",), **changes: Any,
) -> dict[str, str]:  # fmt: skip
    """Keys by place in words."""
    made = expand(spec(**changes).template, models, targets, images)
    return {"/".join(part for part in cell.place if part): cell.key for cell in made}


def test_one_per_model_candidate_product_and_image() -> None:
    found_two = (found("bert", "a" * 16), found("vit", "b" * 16))
    assert list(cells(found_two, images=("runner:10", "runner:11")))[:6] == [
        "bert/fp16/NVIDIA-H200/runner:10", "bert/fp16/NVIDIA-L4/runner:10", "bert/int8/NVIDIA-H200/runner:10",
        "bert/int8/NVIDIA-L4/runner:10", "bert/cpu/runner:10", "bert/fp16/NVIDIA-H200/runner:11",
    ]  # fmt: skip
    assert len(cells(found_two, images=("runner:10", "runner:11"))) == 2 * 2 * 5
    assert list(cells(targets=())) == ["bert/fp16/runner:10", "bert/int8/runner:10", "bert/cpu/runner:10"]


@pytest.mark.parametrize("targets", [(H200, L4), ()])
def test_places_are_known_by_names_alone(targets: tuple[SweepTarget, ...]) -> None:
    plan = {"name": "serving", "backend": "tensorrt", "engine": {"uri": "s3://engines/{model}.plan"}}
    template, images = spec(template__candidates=[*TEMPLATE["candidates"], plan]).template, ("runner:10", "runner:11")
    made = expand(template, (found("bert"), found("vit")), targets, images, "runner:11")
    assert list(places(template, ("bert", "vit"), targets, images, "runner:11")) == [cell.place for cell in made]
    assert ("bert", "serving", "", "runner:11") not in {(*cell.place[:2], "", cell.place.image) for cell in made}


def candidates(**changes: Any) -> list[dict[str, Any]]:
    """The template's candidates, with fields of one changed: `fp16={"typing": "strong"}`."""
    return [{**each, **changes.get(each["name"], {})} for each in TEMPLATE["candidates"]]


FP16 = ["bert/fp16/NVIDIA-H200/runner:10", "bert/fp16/NVIDIA-L4/runner:10"]
INT8 = ["bert/int8/NVIDIA-H200/runner:10", "bert/int8/NVIDIA-L4/runner:10"]
CPU = ["bert/cpu/runner:10"]
ALL = [*FP16, *INT8, *CPU]
NEW_DRIVER = (H200.model_copy(update={"driver": "580.2"}), L4)
CHANGES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("the model, its data, the dataset or golden outputs", {"models": (found("bert", inputs="2" * 16),)}, ALL),
    ("the digest asked for", {"models": (found("bert").model_copy(update={"sha256": "f" * 64}),)}, ALL),
    ("a calibration", {"models": (found("bert", own="2" * 16),)}, INT8),
    ("a candidate", {"template__candidates": candidates(fp16={"typing": "strong"})}, FP16),
    ("how one is calibrated", {"template__candidates": candidates(
        int8={"calibration": {"uri": "s3://datasets/{model}/calibration/", "method": "minmax"}})}, INT8),
    ("the checks", {"template__checks": [{"finite": {}}]}, ALL),
    ("a limit", {"template__checks": [{"finite": {}}, {"outputDrift": {"cosine": 0.9}}]}, ALL),
    ("how the dataset is fed", {"template__dataset": {**TEMPLATE["dataset"], "samples": 10}}, ALL),
    ("golden's precision", {"template__golden": {"precision": "fp64"}}, ALL),
    ("the remedies", {"template__remedies": {"auto": {}}}, ALL),
    ("a driver", {"targets": NEW_DRIVER}, [FP16[0], INT8[0]]),
    ("part of a GPU", {"template__target": {"resources": {"nvidia.com/mig-1g.10gb": 1}}}, [*FP16, *INT8]),
    # What steers, where things lie and what they are called is no content.
    ("where the model lies", {"models": (found("bert").model_copy(update={"uri": "s3://else/bert.onnx"}),)}, []),
    ("where the dataset lies", {"template__dataset": {**TEMPLATE["dataset"], "uri": "s3://moved/{model}/"}}, []),
    ("what is done about a breach", {"template__onBreach": "Report"}, []),
    ("where Pods run", {"template__target": {"tolerations": [{"operator": "Exists"}], "scratch": "1Gi"}}, []),
    ("where artifacts go", {"template__artifacts": {"uri": "s3://elsewhere/"}}, []),
    ("how many at once", {"maxParallel": 9, "template__maxParallel": 9}, []),
    ("a schedule", {"schedule": {"cron": "0 2 * * *"}}, []),
]  # fmt: skip


@pytest.mark.parametrize(("change", "changed"), [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES])
def test_a_key_depends_on_content_and_on_nothing_else(change: dict[str, Any], changed: list[str]) -> None:
    before, after = cells(), cells(**change)
    assert [place for place in before if before[place] != after[place]] == changed


def test_what_is_equal_but_for_its_name_has_one_key() -> None:
    same = expand(spec().template, (found("bert"), found("copy-of-bert")), (H200,), ("runner:10",))
    assert len({cell.key for cell in same}) == len(same) / 2
    (first, *rest) = list(asks(same, (found("bert"), found("copy-of-bert")), spec().template))
    assert [ask.model.name for ask in (first, *rest)] == ["bert", "bert"]
    renamed = cells(template__candidates=[{**each, "name": f"new-{each['name']}"} for each in TEMPLATE["candidates"]])
    assert list(cells().values()) == list(renamed.values())


def test_no_two_parts_of_a_key_run_together() -> None:
    assert cell_key("m", "ab", "c", "p", "d", "i") != cell_key("m", "a", "bc", "p", "d", "i")


def test_an_audit_per_model_product_and_image_answers_what_is_asked() -> None:
    models = (found("bert", "a" * 16),)
    made = expand(spec().template, models, (H200, L4), ("runner:10",))
    parts = list(asks(made, models, spec().template))
    assert [(ask.product, [cell.place.candidate for cell in ask.cells]) for ask in parts] == [
        ("NVIDIA-H200", ["fp16", "int8"]), ("NVIDIA-L4", ["fp16", "int8"]), ("", ["cpu"]),
    ]  # fmt: skip
    audit = audit_spec(spec().template, parts[0])
    assert audit.model.uri == "s3://models/bert.onnx"
    assert audit.dataset.uri == "s3://datasets/bert/"
    assert [candidate.name for candidate in audit.candidates] == ["fp16", "int8"]
    assert audit.candidates[1].calibration
    assert audit.candidates[1].calibration.uri == "s3://datasets/bert/calibration/"
    assert audit.target.gpu_products == ("NVIDIA-H200",)
    assert audit.target.image == "runner:10"
    assert audit_spec(spec().template, parts[2]).target.gpu_products == ()
    some = [cell for cell in made if cell.place.candidate == "int8"]
    assert [c.name for c in audit_spec(spec().template, next(asks(some, models, spec().template))).candidates] == [
        "int8"
    ]


def test_a_name_is_put_in_where_a_uri_has_a_place_for_it_and_nowhere_else() -> None:
    model = found("deep/er", "a" * 16).model_copy(update={"sha256": "b" * 64})
    template = spec(template__dataset={"uri": "s3://data/{model}/x/{model}.npz", "labels": "{model}"}).template
    cell = Cell(expand(template, (model,), (H200,), ("r",))[0].place, "k")
    audit = audit_spec(template, next(asks([cell], (model,), template)))
    assert audit.dataset.uri == "s3://data/deep/er/x/deep/er.npz"
    assert audit.dataset.labels == "{model}"
    assert audit.model.sha256 == "b" * 64


def test_ten_thousand_cells_take_a_moment() -> None:
    models = tuple(found(f"model-{n}", f"{n:016x}") for n in range(500))
    began = time.process_time()
    made = expand(spec().template, models, (H200, L4), tuple(f"runner:{n}" for n in range(4)))
    assert len(made) == 10_000
    assert time.process_time() - began < 5
