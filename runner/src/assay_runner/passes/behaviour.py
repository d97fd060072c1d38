"""Everything that is measured by running the candidate again under other circumstances, one session after another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from assay_runner.backends import Backend, Built
from assay_runner.checks import Check
from assay_runner.checks.batch_invariance import BatchInvariance
from assay_runner.checks.extra_output import ExtraOutputCheck
from assay_runner.checks.latency import LatencyCheck
from assay_runner.checks.run_to_run import RunToRun
from assay_runner.evidence.reruns import Behaviour
from assay_runner.passes.repeats import repeat
from assay_runner.passes.sameness import extra_output, invariance
from assay_runner.passes.timing import timed
from assay_runner.tensors import Batches, Progress, Site


def behaviour(
    checks: Iterable[Check],
    backend: Backend,
    built: Built,
    fixed: int | None,
    dataset: Batches,
    outputs: Mapping[str, Site],
    progress: Progress,
) -> Behaviour:
    """What these checks need of it; `fixed` is the model's batch where it is fixed."""
    kinds = tuple(checks)
    repeats = dict.fromkeys((c.runs, c.batches, c.conditions) for c in kinds if isinstance(c, RunToRun))
    batches = dict.fromkeys(c.batches for c in kinds if isinstance(c, BatchInvariance))
    extra = dict.fromkeys((c.tensor or "", c.batches) for c in kinds if isinstance(c, ExtraOutputCheck))
    timings = dict.fromkeys((c.runs, c.warm_up) for c in kinds if isinstance(c, LatencyCheck))
    return Behaviour(
        repeats={asked: repeat(backend, built, dataset, outputs, asked, progress, fixed is None) for asked in repeats},
        invariance={n: invariance(backend, built, fixed, dataset, outputs, n, progress) for n in batches},
        extra={asked: extra_output(backend, built, dataset, outputs, asked, progress) for asked in extra},
        timings={asked: timed(backend, built, dataset, *asked, progress) for asked in timings},
    )
