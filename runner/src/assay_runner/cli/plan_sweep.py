"""`assay plan` of a sweep: how many cells it has, when it runs, and what it costs at most."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final

from assay_api.cells import Cell, asks, expand
from assay_api.made_for import made_for
from assay_api.names import Condition
from assay_api.prices import Prices, Taken, gpu_candidates, gpu_cells_of, gpu_seconds_of, prices
from assay_api.resolved import ModelFound
from assay_api.schedule import due, run_name
from assay_api.sweep import AccuracySweep, ModelPrefix, SweepSpec
from assay_api.sweep_status import SweepTarget
from assay_runner.cli.kubectl import Place, read_sweep
from assay_runner.errors import InvalidInput
from assay_runner.raw import Raw, mapping

NEXT_RUNS: Final = 3
HOUR: Final = 3_600.0
NOBODY: Final = "\n"
"""Name of a model that is not known: no model has such a one."""


@dataclass(frozen=True)
class Measured:
    """What a sweep in the cluster tells for its price.

    Attributes:
        price: medians of what its audits took.
        run: name of its last run.
        models: how many that run found; None: it has not told, or it looked below another prefix.
        targets: GPU products that it found; none: it has not told, or it did not look for them.
    """

    price: Prices
    run: str = ""
    models: int | None = None
    targets: tuple[SweepTarget, ...] = ()


@dataclass(frozen=True)
class _Sized:
    """How large a run is, as far as that is known.

    Attributes:
        models: the models; one that stands for each where they are not known.
        cells: their cells, on one GPU product that stands for each where those are not known.
        unknown: what is not known: models, GPU products.
    """

    models: tuple[ModelFound, ...]
    cells: tuple[Cell, ...]
    unknown: tuple[str, ...]

    @property
    def each(self) -> str:
        """What its figures are of, where they are not of all; else nothing."""
        return f" per {' and '.join(what.removesuffix('s') for what in self.unknown)}" if self.unknown else ""


def sweep_lines(
    sweep: AccuracySweep, cell_seconds: float | None, measured: Measured | None, now: datetime
) -> Iterator[str]:
    """What is told of a sweep, a line each.

    Args:
        sweep: the sweep.
        cell_seconds: GPU seconds that a cell takes; None: not known.
        measured: what the cluster tells, in place of that; None: it was not asked.
        now: the time, for the next runs.
    """
    spec = sweep.spec
    gpus = gpu_candidates(spec.template)
    targets = tuple(SweepTarget(gpu_product=product) for product in spec.template.target.gpu_products)
    if spec.fleet and gpus and measured:
        targets = measured.targets
    price = measured.price if measured else None if cell_seconds is None else Prices({}, cell_seconds, gpus)
    sized = _sized(spec, targets, price, measured.models if measured else None)
    as_found = f", as run {measured.run} found them" if measured else ""
    yield f"{sweep.metadata['name']}, a sweep"
    yield f"models: {_models_told(spec, sized, as_found)}"
    yield f"images: {len(spec.runner_images) or 1}"
    products = ", ".join(target.gpu_product for target in targets) or _any(spec)
    yield f"GPU products: {products}{as_found if spec.fleet and targets else ''}"
    on_gpus = sum(cell.place.candidate in gpus for cell in sized.cells)
    counted = f"{len(sized.cells)} cells{sized.each}, {on_gpus} of them on a GPU"
    yield f"{counted}; {spec.max_parallel} audits at once at most"
    yield "a cell whose content is that of an earlier run costs nothing"
    yield from _price(spec, sized, price, measured is not None)
    if spec.schedule:
        yield f"next runs, in UTC: {', '.join(_next_runs(spec, now)) or 'none'}"


def measured(sweep: AccuracySweep) -> Measured:
    """What the sweep in the cluster tells for its price.

    Raises:
        InvalidInput: there is no such sweep, or none of its audits has held a GPU to its end.
        Unavailable: the cluster does not answer.
    """
    namespace = sweep.metadata.get("namespace")
    place = Place(str(sweep.metadata["name"]), str(namespace) if namespace else None, None, "sweep")
    there, audits = read_sweep(place)
    price = prices(_taken(audits, str(mapping(there.get("metadata")).get("uid", ""))), sweep.spec.template)
    if price.overall is None:
        raise InvalidInput(f"no audit of {place} has held a GPU to its end yet: give --cell-seconds instead")
    spec, status = mapping(there.get("spec")), mapping(there.get("status"))
    models = status.get("models") if _same_prefix(sweep.spec, spec) else None
    found = status.get("targets") if spec.get("fleet") else None
    targets = tuple(SweepTarget(gpu_product=str(each["gpuProduct"])) for each in found or ())
    return Measured(price, str(status.get("run") or ""), models if isinstance(models, int) else None, targets)


def _taken(audits: Iterable[Raw], uid: str) -> Iterator[Taken]:
    """What the audits of a sweep took that have ended."""
    for audit in audits:
        meta, spec, status = (mapping(audit.get(part)) for part in ("metadata", "spec", "status"))
        owned = any(mapping(owner).get("uid") == uid for owner in meta.get("ownerReferences") or ())
        conditions = map(mapping, status.get("conditions") or ())
        ended = any(each.get("type") == Condition.COMPLETE and each.get("status") == "True" for each in conditions)
        if owned and ended:
            made = made_for(meta, spec)
            yield Taken(made.model if made else "", gpu_seconds_of(status), gpu_cells_of(spec))


def _same_prefix(spec: SweepSpec, there: Raw) -> bool:
    """Whether a sweep in the cluster looks for its models where a spec does."""
    prefix, told = spec.model_prefix, mapping(there.get("modelPrefix"))
    match = told.get("match", ModelPrefix.model_fields["match"].default)
    return prefix is not None and (told.get("uri"), match) == (prefix.uri, prefix.match)


def _sized(spec: SweepSpec, targets: tuple[SweepTarget, ...], price: Prices | None, count: int | None) -> _Sized:
    """How large a run is; `count` is the number of models where the spec does not name them."""
    names = [model.name for model in spec.models] or _names(price, count)
    # No two are taken to be equal: what that saves shows once a run has looked.
    own = tuple(map(str, range(len(spec.template.candidates))))
    models = tuple(ModelFound(name=name, uri="", inputs=name, own=own) for name in names or [NOBODY])
    upgraded = spec.upgrade.to_image if spec.upgrade else ""
    cells = expand(spec.template, models, targets, spec.runner_images or ("",), upgraded)
    no_products = spec.fleet and not targets and bool(gpu_candidates(spec.template))
    unknown = (("models", not names), ("GPU products", no_products))
    return _Sized(models, cells, tuple(what for what, is_so in unknown if is_so))


def _names(price: Prices | None, count: int | None) -> list[str]:
    """Names for as many models as a run found: of the dearest that have audits, and others that nobody has."""
    if price is None or not count:
        return []
    known = sorted(filter(None, price.of_model), key=lambda name: (-price.a_cell(name), name))[:count]
    return known + [f"{NOBODY}{number}" for number in range(count - len(known))]


def _price(spec: SweepSpec, sized: _Sized, price: Prices | None, of_cluster: bool) -> Iterator[str]:
    """What a run takes at most, and whether its budget is enough."""
    budget = f"budget: {spec.budget.gpu_hours:g} GPU hours" if spec.budget else ""
    if price is None:
        if spec.budget:
            yield f"{budget}; --cell-seconds or --measured tells whether that is enough"
        return
    hours = sum(map(price.of, asks(sized.cells, sized.models, spec.template))) / HOUR
    yield f"at {_each(price, sized, of_cluster)}: {hours:.3g} GPU hours{sized.each} where every cell has changed"
    if sized.unknown:
        nothing = "no total, and whether the budget is enough cannot be told" if spec.budget else "no total"
        yield f"{nothing}: {_missing(sized.unknown, of_cluster)}"
    elif spec.budget:
        fits = hours <= spec.budget.gpu_hours
        over = "is not begun" if spec.budget.when_over == "Refuse" else "is halted when it is spent"
        yield f"{budget}, {'which is enough' if fits else f'so such a run {over}'}"


def _each(price: Prices, sized: _Sized, of_cluster: bool) -> str:
    """What a cell takes, and who says so."""
    of_models = [price.a_cell(model.name) for model in sized.models]
    least, most = min(of_models), max(of_models)
    span = f"{least:g} GPU seconds a cell" if least == most else f"{least:g} to {most:g} GPU seconds a cell"
    if not of_cluster:
        return span
    own = sum(model.name in price.of_model for model in sized.models)
    if not own:
        return f"{span}, the median of what its audits took"
    others = f", {price.overall:g} for the others" if own < len(sized.models) else ""
    return f"{span}, by the medians of {own} of {len(sized.models)} models{others}"


def _missing(unknown: Sequence[str], of_cluster: bool) -> str:
    """Why there is no total, and what would tell."""
    what = f"how many {' and '.join(unknown)} there are"
    if of_cluster:
        fields = " and ".join({"models": "modelPrefix", "GPU products": "fleet"}[each] for each in unknown)
        return f"no run in the cluster with this {fields} has told yet {what}"
    return f"the file does not say {what}; --measured asks the sweep's last run in the cluster"


def _models_told(spec: SweepSpec, sized: _Sized, as_found: str) -> str:
    if spec.model_prefix is None:
        return str(len(spec.models))
    where = f"{spec.model_prefix.match} below {spec.model_prefix.uri}"
    if "models" in sized.unknown:
        return f"every {where}, as Jobs find them"
    return f"{len(sized.models)}, every {where}{as_found}"


def _next_runs(spec: SweepSpec, now: datetime) -> Iterator[str]:
    assert spec.schedule is not None, "it has no schedule"
    for _ in range(NEXT_RUNS):
        found = due(spec.schedule, now, now, free=True).next
        if found is None:
            return
        now = found
        yield run_name(found.astimezone(timezone.utc))


def _any(spec: SweepSpec) -> str:
    if not gpu_candidates(spec.template):
        return "none needed"
    return "every one that nodes show" if spec.fleet else "any"
