"""Candidates that hold one node each wider, tried one after another in one process: as a search does.

    python -m tests.bench.trials FOUND.json --trials 20 [--backend tensorrt]

Writes what golden was run for, and the process's memory after every trial.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

from assay_api.audit import AuditSpec, Candidate
from assay_api.model import parse
from tests.bench.held import BATCH, DIGITS, MODEL, candidate, held_nodes, spec

MB = 1e6


def resident_mb() -> float:
    """Memory of this process that is its own, files that it has mapped left out."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) * 1024 / MB for line in lines if line.startswith("RssAnon:"))


def device_mb() -> float:
    """Memory of the GPU in use by whoever uses it; 0 where there is none."""
    try:
        from cuda.bindings import runtime
    except ImportError:
        return 0.0
    error, free, total = runtime.cudaMemGetInfo()
    return 0.0 if int(error) else (total - free) / MB


def main() -> None:
    """Try so many candidates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("found", type=Path)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--backend", default="onnxruntime")
    parser.add_argument("--keep", type=int, default=1 << 30)
    asked = parser.parse_args()

    from assay_runner.allocation import keep_freed_memory

    keep_freed_memory()  # As `assay` does.
    from assay_runner.backends import BACKENDS
    from assay_runner.backends.order import order_of
    from assay_runner.builds.brief import briefly_built
    from assay_runner.builds.cache import BuildRequest
    from assay_runner.checks import parse_checks
    from assay_runner.data.datasets import Source, open_dataset
    from assay_runner.golden.reference import Reference
    from assay_runner.golden.run import golden_outputs
    from assay_runner.models.loading import load_model
    from assay_runner.passes.setting import Setting
    from assay_runner.stores import open_store
    from assay_runner.trial.trial import judge, trial
    from tests.models import Heard

    audit = parse(AuditSpec, spec([]))
    checks, needs = parse_checks(audit), [need for check in parse_checks(audit) for need in check.needs]
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        store = open_store(audit.storage, DIGITS)
        model = load_model(store, audit.model, scratch)
        dataset = open_dataset(store, Source(uri=audit.dataset.uri, batch=BATCH), model, scratch)
        outputs = [kept for _, kept in golden_outputs(model, dataset, "fp32", scratch / "golden", Heard())]
        reference = Reference(model, dataset, outputs, "fp32", scratch / "reference", keep=asked.keep)
        plain = order_of(parse(Candidate, candidate("fp16")), model.path)
        backend, memory, verdicts = BACKENDS[asked.backend], [], []
        for node in held_nodes(asked.trials):
            order = replace(plain, backend=asked.backend, held={node: "fp32"})
            request = BuildRequest(backend, model, order, None, "", dataset.extents())
            with briefly_built(request, node, scratch / "builds", Heard()) as subject:
                findings = judge(checks, trial(Setting(subject, reference, Heard()), needs))
            verdicts.append({finding.check: finding.verdict.value for finding in findings})
            memory.append((resident_mb(), device_mb()))
        batches = sum(1 for _ in dataset)
    found = {"goldenRuns": reference.runs, "batches": batches, "memory": memory, "verdicts": verdicts}
    asked.found.write_text(json.dumps(found))
    assert MODEL in str(audit.model.uri)


if __name__ == "__main__":
    main()
