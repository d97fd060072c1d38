"""What a candidate was run by and built from, for the report."""

from __future__ import annotations

from typing import Literal

import onnxruntime as ort

from assay_api.report import EngineEntry, Provenance
from assay_runner.backends.onnxruntime import purpose
from assay_runner.backends.sessions import PROVIDER, Purpose
from assay_runner.backends.subject import Subject
from assay_runner.data.datasets import Dataset


def provenance_of(subject: Subject, dataset: Dataset) -> Provenance:
    """The runtime of a candidate, whether it may use TF32, and the digests of what went in."""
    built, engine = subject.built, subject.built.engine
    if engine is None:
        tf32: Literal["emulated", "none"] = "emulated" if built.precision == "tf32" else "none"
        return Provenance(
            runtime=subject.backend.name,
            version=ort.__version__,
            provider=PROVIDER,
            precision=built.precision,
            tf32=tf32,
            optimised=purpose(built) is Purpose.PLAIN,
            model=subject.model.identity,
            data=dataset.identity,
        )
    return Provenance(
        runtime=subject.backend.name,
        version=engine.facts.tensorrt,
        provider=engine.facts.gpu,
        precision=built.precision or None,
        tf32=tf32_allowed(engine.facts),
        model=subject.model.identity,
        data=dataset.identity,
    )


def tf32_allowed(facts: EngineEntry) -> Literal["on", "off", "unknown"]:
    """By the builder's flag; of an engine that was built elsewhere nobody knows it."""
    return "unknown" if facts.tf32 is None else "on" if facts.tf32 else "off"
