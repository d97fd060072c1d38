"""Which cells a run of a sweep has, as far as that is known here: an answer that is missing is none that passes.

Names of models below a prefix are known to the operator alone; of those that no audit and no status names, there is
their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from assay_api.cells import places
from assay_api.model import parse
from assay_api.sweep import SweepSpec
from assay_api.sweep_status import SweepTarget
from assay_runner.raw import Raw, mapping, objects

NOT_YET: Final = "not audited yet"
NOT_AUDITED: Final = "not audited"


class Column(NamedTuple):
    """What a column of the map is about; `image` is empty where the sweep has one."""

    candidate: str
    image: str = ""


At = tuple[str, Column]
"""A model, and the column of a cell of it."""


@dataclass(frozen=True)
class Run:
    """Where the run stands that a sweep's status tells of.

    Attributes:
        ended: it has ended.
        gated: the gate in the status is of this run.
        trouble: why the sweep has no answer as a whole; empty where its cells explain its end.
    """

    ended: bool = True
    gated: bool = True
    trouble: str = ""


ENDED: Final = Run()


@dataclass(frozen=True)
class Missing:
    """Cells of the run of which no audit tells.

    Attributes:
        cells: those whose names are known.
        more: how many others there are.
    """

    cells: tuple[At, ...] = ()
    more: int = 0


def missing(spec: Raw, status: Raw, answered: Iterable[At], once: Iterable[str]) -> Missing:
    """The cells of which no audit tells.

    Args:
        spec: of the sweep.
        status: of the sweep, which counts its cells.
        answered: cells of which one does.
        once: models that an audit was ever made of.
    """
    there = set(answered)
    all_of_them = number(mapping(status.get("counts")).get("cells"))
    without = max(all_of_them - len(there), 0)
    if not without:
        return Missing()
    told = [each.get("name") for each in objects(spec.get("models"))]
    names = {str(name) for name in told if name} or {*once, *(model for model, _ in there), *_named(status)}
    cells = tuple(at for at in _planned(spec, status, sorted(names)) if at not in there)
    # More than there are: a model or a candidate of before is among them, so that only their number is known.
    return Missing(cells, without - len(cells)) if len(cells) <= without else Missing((), without)


def why_missing(at: At, status: Raw, run: Run) -> str:
    """Why no audit tells of a cell, in a few words."""
    if not run.ended:
        return NOT_YET
    key, image = at[1]
    candidate, _, product = key.partition("@")
    for each in objects(status.get("worst")):
        place = (each.get("model"), each.get("candidate"), each.get("gpuProduct") or "", each.get("image") or "")
        if place == (at[0], candidate, product, image) and each.get("message") and not each.get("verdict"):
            return f"{NOT_AUDITED}: {each['message']}"
    counts = mapping(status.get("counts"))
    if not number(counts.get("overBudget")):
        return f"{NOT_AUDITED}: no audit was made for it, or it is gone"
    if number(counts.get("errors")):
        return f"{NOT_AUDITED}: the budget is spent, or no audit can be made for it"
    return f"{NOT_AUDITED}: the budget is spent"


def number(value: object) -> int:
    """A count of a status; 0 where it is none."""
    return value if isinstance(value, int) else 0


def _named(status: Raw) -> set[str]:
    """Models that a status names; a name that was shortened to fit is none."""
    rows = (*objects(mapping(status.get("gate")).get("worst")), *objects(status.get("worst")))
    return {name for row in rows if isinstance(name := row.get("model"), str) and "…" not in name}


def _planned(spec: Raw, status: Raw, models: Sequence[str]) -> list[At]:
    """Every cell of some models; none where the spec is of another version of Assay's."""
    try:
        read = parse(SweepSpec, spec)
        targets = [parse(SweepTarget, each) for each in objects(status.get("targets"))]
    except ValueError:
        return []
    several = len(read.runner_images) > 1
    images = read.runner_images if several else ("",)
    new = read.upgrade.to_image if read.upgrade else ""
    found = places(read.template, models, targets, images, new)
    return [(place.model, Column(place.key, place.image)) for place in found]
