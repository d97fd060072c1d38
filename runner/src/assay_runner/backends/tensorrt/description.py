"""What an engine is made of: asked of the engine itself, told once, and put into the terms of a report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay_api.entries import EngineEntry
from assay_api.model import parse
from assay_runner.backends.layer_precisions import nodes
from assay_runner.backends.tensorrt.configuration import Settings
from assay_runner.backends.tensorrt.device import device
from assay_runner.backends.tensorrt.inspector import engine_layers
from assay_runner.backends.tensorrt.library import tensorrt
from assay_runner.backends.tensorrt.session import opened
from assay_runner.evidence.engine import EngineFacts
from assay_runner.models.loading import LoadedModel


def inspected(plan: Path, told: Path | None = None) -> dict[str, Any]:
    """What an engine tells of itself; it is loaded for that once, and `told` keeps the answer."""
    if told and told.is_file():
        known: dict[str, Any] = json.loads(told.read_text())
        return known
    with opened(plan) as session:
        engine = session.engine
        layers = engine.create_engine_inspector().get_engine_information(tensorrt().LayerInformationFormat.JSON)
        found = {
            "layers": layers,
            "verbosity": str(engine.profiling_verbosity).rpartition(".")[2],
            "memory": session.device_memory + plan.stat().st_size,
        }
        del engine
    if told:
        told.write_text(json.dumps(found))
    return found


def engine_facts(
    inspected: Mapping[str, Any], chosen: Settings | None, record: Mapping[str, Any], model: LoadedModel
) -> EngineFacts:
    """The engine as the report has it.

    Args:
        inspected: as `inspected` gives it.
        chosen: how it was built, or None for an existing plan.
        record: more for the reader of the report, as `EngineEntry` has it on the wire.
        model: the audit's model, whose nodes are looked for in the layers.
    """
    gpu = device()
    facts = {
        "tensorrt": str(tensorrt().__version__),
        "gpu": gpu.name,
        "computeCapability": ".".join(map(str, gpu.capability)),
        "driverCuda": f"{gpu.driver // 1000}.{gpu.driver % 1000 // 10}",
        "verbosity": inspected["verbosity"],
        **({"typing": chosen.typing, "flags": list(chosen.flags), "tf32": chosen.tf32} if chosen else {}),
        **({"plugins": list(chosen.options.plugins)} if chosen and chosen.options.plugins else {}),
        **record,
    }
    layers = engine_layers(inspected["layers"], [name for name, _ in nodes(model.path)])
    return EngineFacts(layers, parse(EngineEntry, facts), inspected["memory"], chosen.typing if chosen else None)
