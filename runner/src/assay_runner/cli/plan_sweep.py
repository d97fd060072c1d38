"""`assay plan` of a sweep: how many cells it has, when it runs, and what it costs at most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from statistics import median
from typing import Any, Final

from assay_api.cells import expand
from assay_api.resolved import ModelFound
from assay_api.schedule import due, run_name
from assay_api.sweep import AccuracySweep, SweepSpec
from assay_api.sweep_status import SweepTarget
from assay_runner.cli.kubectl import Place, read_sweep
from assay_runner.errors import InvalidInput

NEXT_RUNS: Final = 3
HOUR: Final = 3_600.0


def sweep_lines(sweep: AccuracySweep, cell_seconds: float | None, now: datetime) -> Iterator[str]:
    """What is told of a sweep, a line each.

    Args:
        sweep: the sweep.
        cell_seconds: GPU seconds that a cell takes; None: not known.
        now: the time, for the next runs.
    """
    spec = sweep.spec
    yield f"{sweep.metadata['name']}, a sweep"
    yield f"models: {len(spec.models) if spec.models else f'every {_prefix(spec)}, as a Job finds them'}"
    yield f"images: {len(spec.runner_images) or 1}"
    targets = tuple(SweepTarget(gpu_product=product) for product in spec.template.target.gpu_products)
    yield f"GPU products: {', '.join(t.gpu_product for t in targets) or _any(spec)}"
    cells, on_gpus = _cells(spec, targets)
    unknown = [what for what, is_so in (("model", not spec.models), ("GPU product", spec.fleet and on_gpus)) if is_so]
    each = f" per {' and '.join(unknown)}" if unknown else ""
    yield f"{cells} cells{each}, {on_gpus} of them on a GPU; {spec.max_parallel} audits at once at most"
    yield "a cell whose content is that of an earlier run costs nothing"
    yield from _price(spec, on_gpus, cell_seconds, each)
    if spec.schedule:
        yield f"next runs, in UTC: {', '.join(_next_runs(spec, now)) or 'none'}"


def measured_seconds(sweep: AccuracySweep) -> float:
    """The median of GPU seconds that a cell of the sweep's audits in the cluster took.

    Raises:
        InvalidInput: there is no such sweep, or none of its audits has held a GPU to its end.
        Unavailable: the cluster does not answer.
    """
    namespace = sweep.metadata.get("namespace")
    place = Place(str(sweep.metadata["name"]), str(namespace) if namespace else None, None, "sweep")
    _, audits = read_sweep(place)
    found = [seconds for audit in audits if (seconds := _seconds_of(audit)) is not None]
    if not found:
        raise InvalidInput(f"no audit of {place} has held a GPU to its end yet: give --cell-seconds instead")
    return median(found)


def _seconds_of(audit: Mapping[str, Any]) -> float | None:
    """GPU seconds of a cell of an audit; None where none was measured."""
    status = audit.get("status") or {}
    taken = [entry.get("gpuSeconds") for part in ("candidates", "repairs") for entry in status.get(part) or ()]
    cells = sum(c.get("backend") == "tensorrt" for c in (audit.get("spec") or {}).get("candidates") or ())
    total = sum(seconds for seconds in taken if isinstance(seconds, int))
    return total / cells if total and cells else None


def _cells(spec: SweepSpec, targets: tuple[SweepTarget, ...]) -> tuple[int, int]:
    """Cells, and those of them on a GPU; per model where models are not known."""
    model = ModelFound(name="model", uri="s3://models/model.onnx", inputs="")
    images = spec.runner_images or ("",)
    gpus = {candidate.name: candidate.backend == "tensorrt" for candidate in spec.template.candidates}
    upgraded = spec.upgrade.to_image if spec.upgrade else ""
    cells = expand(spec.template, (model,), targets, images, upgraded)
    times = len(spec.models) or 1
    return len(cells) * times, sum(gpus[cell.place.candidate] for cell in cells) * times


def _price(spec: SweepSpec, on_gpus: int, cell_seconds: float | None, each: str) -> Iterator[str]:
    if cell_seconds is None:
        return
    hours = on_gpus * cell_seconds / HOUR
    yield f"at {cell_seconds:g} GPU seconds a cell: {hours:.3g} GPU hours{each} where every cell has changed"
    if spec.budget and not each:
        fits = hours <= spec.budget.gpu_hours
        over = "is not begun" if spec.budget.when_over == "Refuse" else "is halted when it is spent"
        yield f"budget: {spec.budget.gpu_hours:g} GPU hours, {'which is enough' if fits else f'so such a run {over}'}"


def _next_runs(spec: SweepSpec, now: datetime) -> Iterator[str]:
    assert spec.schedule is not None, "it has no schedule"
    for _ in range(NEXT_RUNS):
        found = due(spec.schedule, now, now, free=True).next
        if found is None:
            return
        now = found
        yield run_name(found.astimezone(timezone.utc))


def _any(spec: SweepSpec) -> str:
    if not any(candidate.backend == "tensorrt" for candidate in spec.template.candidates):
        return "none needed"
    return "every one that nodes show" if spec.fleet else "any"


def _prefix(spec: SweepSpec) -> str:
    return f"{spec.model_prefix.match} below {spec.model_prefix.uri}" if spec.model_prefix else ""
