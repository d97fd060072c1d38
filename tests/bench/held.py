"""FP16 candidates of the decomposed digits transformer, each holding another node to FP32."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.programs import ROOT

__all__ = ["BATCH", "DIGITS", "MODEL", "audit", "candidate", "held_nodes", "spec"]

DIGITS = ROOT / "examples" / "digits"
MODEL = "digits-vit-decomposed.onnx"
BATCH = 64
CHECKS: Sequence[dict[str, Any]] = ({"finite": {}}, {"outputDrift": {}}, {"layerDrift": {}}, {"fp16Range": {}})


def held_nodes(count: int) -> list[str]:
    """Names of so many nodes, spread over the graph."""
    import onnx

    graph = onnx.load(str(DIGITS / MODEL), load_external_data=False).graph
    names = [node.name for node in graph.node if node.op_type in ("Add", "Div", "MatMul", "Mul", "Pow", "Sqrt", "Sub")]
    return [names[index * len(names) // count] for index in range(count)]


def candidate(name: str, *nodes: str) -> dict[str, Any]:
    """A candidate in the words of a spec; what its nodes' names hold of wild cards stands for itself."""
    layers = [{"nodes": node, "precision": "fp32"} for node in nodes]
    held = {"layers": layers} if layers else {}
    quick = {"build": {"optimizationLevel": 1}}
    return {"name": name, "backend": "tensorrt", "precision": "fp16", "typing": "strong", **quick, **held}


def spec(candidates: Sequence[dict[str, Any]], out: Path | None = None) -> dict[str, Any]:
    """The spec of an audit of these candidates."""
    return {
        "model": {"uri": f"file://{DIGITS / MODEL}"},
        "dataset": {"uri": f"file://{DIGITS}/data/", "batch": BATCH},
        "candidates": list(candidates) or [candidate("fp16")],
        "checks": list(CHECKS),
        "artifacts": {"uri": f"file://{out or '/nowhere'}/"},
    }


def audit(remedies: dict[str, Any] | None = None) -> dict[str, Any]:
    """The audit of one that holds none, which fails; repaired where remedies are given for its precision."""
    asked = {} if remedies is None else {"remedies": {"precision": remedies}}
    return {
        "apiVersion": "assay.dev/v1alpha1",
        "kind": "AccuracyAudit",
        "metadata": {"name": "held"},
        "spec": {**spec([]), **asked},
    }
