"""A candidate that failed, and a workshop to repair it in, for tests that need no audit."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from assay_api.audit import Candidate, Storage
from assay_api.model import parse
from assay_api.remedies import Remedies
from assay_api.report import CandidateReport, Finding, Verdict
from assay_runner.backends import Backend
from assay_runner.backends.order import order_of
from assay_runner.checks.output_drift import OutputDrift
from assay_runner.golden.reference import Reference
from assay_runner.golden.run import golden_outputs
from assay_runner.remedies.case import Case, Design
from assay_runner.remedies.remedy import Cure
from assay_runner.remedies.spending import Spending
from assay_runner.remedies.splits import Split
from assay_runner.remedies.tactics import other_tactics
from assay_runner.remedies.workshop import Workshop
from assay_runner.stores import open_store
from assay_runner.tensors import Array
from tests.models import Heard, constant, load, model, node, random, value
from tests.runner.io.made import opened, shard

DRIFT = OutputDrift(max_abs=0.01)
WIDTH = 8


def stack(layers: int) -> onnx.ModelProto:
    """Products one behind the other, each keeping magnitudes: x (N, 8) to h{layers} (N, 8)."""
    names = ["x", *(f"h{number}" for number in range(1, layers + 1))]
    nodes = [node("MatMul", f"{given} w.{made}", made) for given, made in itertools.pairwise(names)]
    weights = [
        constant(f"w.{made}", random(WIDTH, WIDTH, seed=k, scale=WIDTH**-0.5)) for k, made in enumerate(names[1:])
    ]
    return model(nodes, [value("x", "N", WIDTH)], [value(names[-1], "N", WIDTH)], weights)


def layer(number: int) -> str:
    """Name of a layer of the stack."""
    return f"h{number}.node"


def stacked(folder: Path, layers: int = 8) -> tuple[Path, Mapping[str, Array]]:
    """A stack in a folder, and what it is fed."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "stack.onnx"
    onnx.save(stack(layers), str(path))
    return path, {"x": random(32, WIDTH, seed=9)}


def workshop(
    backend: Backend, folder: Path, given: tuple[Path, Mapping[str, Array]], build: Mapping[str, Any], **remedies: Any
) -> tuple[Workshop, Remedies]:
    """Where a model that failed in FP32 is repaired.

    Args:
        backend: builds it.
        folder: for everything.
        given: the model's file, and what it is fed.
        build: options of the candidate's build.
        remedies: of the audit.
    """
    path, arrays = given
    shard(folder / "data" / "part-0.npz", False, **arrays)
    dataset = opened(folder, path)
    asked = parse(Remedies, {"auto": {}, **remedies})
    split = Split(dataset, asked.search_share)
    loaded = load(path, folder)
    outputs = [kept for _, kept in golden_outputs(loaded, dataset, "fp32", folder / "golden", Heard())]
    references = {
        part: Reference(loaded, samples, samples.outputs(outputs), "fp32", folder / f"{part.kind}-{part.turn}")
        for part, samples in split.parts.items()
    }
    asks = parse(Candidate, {"name": "a", "backend": "tensorrt", "precision": "fp32", "build": dict(build)})
    failed = Finding(candidate="a", check="outputDrift", verdict=Verdict.FAILED, message="h8 drifts")
    report = CandidateReport(name="a", candidate="a", backend="tensorrt", verdict=Verdict.FAILED)
    case = Case("a", asks, backend, Design(order_of(asks, path), loaded), report, (failed,))
    scratch = folder / "scratch-of-repair"
    scratch.mkdir(exist_ok=True)
    made = Workshop(
        case=case,
        references=references,
        dataset=dataset,
        data="d",
        checks=[DRIFT],
        spending=Spending(asked.budget),
        store=open_store(Storage(), folder),
        cache=f"file://{folder}/cache",
        scratch=scratch,
        progress=Heard(),
        versions="v",
        entries=[],
        artifacts=f"file://{folder}/artifacts/remedies/a",
    )
    return made, asked


def cured(backend: Backend, folder: Path, **remedies: Any) -> tuple[Cure, Workshop]:
    """What the tactics remedy finds for a stack."""
    made, asked = workshop(backend, folder, stacked(folder), {}, **remedies)
    return other_tactics(made.case, asked, made), made


def hows(cure: Cure) -> Sequence[str]:
    """How each rebuild was built."""
    assert cure.tactics
    return [build.how for build in cure.tactics.rebuilds]
