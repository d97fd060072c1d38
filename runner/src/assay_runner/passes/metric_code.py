"""Metrics of the user's own: found by entry point, as a function of one output or an object that sees several."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from inspect import getsourcefile, isclass, isfunction, unwrap
from pathlib import Path
from typing import Any, Final

from assay_runner.data.entry_points import loaded, said
from assay_runner.digests import file_sha256
from assay_runner.errors import InvalidInput
from assay_runner.statistics.bootstrap import RESAMPLES, Reduce, Rows

GROUP: Final = "assay.metrics"
_FEWEST: Final = 40
"""Draws below which the ends of a 95 % interval are no quantiles."""


@dataclass(frozen=True)
class MetricCode:
    """A metric, loaded.

    Attributes:
        score: one batch to one entry per sample: (golden, candidate, labels). Of an object all three are mappings by
            name, of a function they are arrays.
        several: whether it is an object, whose `score` takes mappings.
        reduce: entries of all samples to the figure of the dataset; None: their mean is.
        resamples: draws of the bootstrap.
    """

    score: Callable[[Any, Any, Any], Any]
    several: bool = False
    reduce: Reduce | None = None
    resamples: int = RESAMPLES


def load_metric(name: str) -> MetricCode:
    """The metric of this name.

    Raises:
        InvalidInput: there is none, several have the name, it cannot be imported, or it is no metric.
    """
    code = loaded(_entry(name), "metric")
    if isclass(code):
        try:
            code = code()
        except Exception as error:
            raise InvalidInput(f"metric {name!r} cannot be made without arguments: {said(error)}") from error
    score, reduce = getattr(code, "score", None), getattr(code, "reduce", None)
    if score is None and callable(code):
        return MetricCode(code)
    resamples = getattr(code, "resamples", RESAMPLES)
    if not callable(score) or not (reduce is None or callable(reduce)):
        raise InvalidInput(f"metric {name!r} is an object, and of those score and reduce are called: it lacks a method")
    if not isinstance(resamples, int) or resamples < _FEWEST:
        raise InvalidInput(
            f"metric {name!r} asks for {resamples!r} resamples: give a whole number of {_FEWEST} or more"
        )
    return MetricCode(score, True, None if reduce is None else _figure(name, reduce), resamples)


def metric_version(name: str) -> str:
    """What tells the metric of this name from another one, and from itself after a change: for keys.

    Where its package is worked on in place its version stays, so its source file counts as well.

    Raises:
        InvalidInput: as of `load_metric`.
    """
    entry = _entry(name)
    code = unwrap(loaded(entry, "metric"))
    made_by = code if isfunction(code) or isclass(code) else type(code)
    try:
        source = getsourcefile(made_by)
    except TypeError:
        source = None
    digest = file_sha256(Path(source))[:16] if source and Path(source).is_file() else ""
    return f"{entry.value} {entry.dist.version if entry.dist else ''} {digest}"


def _figure(name: str, reduce: Callable[[Rows], Any]) -> Reduce:
    """`reduce`, held to giving a number."""

    def figure(rows: Rows) -> float:
        try:
            return float(reduce(rows))
        except Exception as error:
            raise InvalidInput(f"metric {name!r} failed to reduce {len(rows)} samples: {said(error)}") from error

    return figure


def _entry(name: str) -> EntryPoint:
    there = entry_points(group=GROUP)
    found = [entry for entry in there if entry.name == name]
    if not found:
        names = ", ".join(sorted({entry.name for entry in there}))
        listed = f"installed are {names}" if names else "none is installed"
        raise InvalidInput(f"there is no metric {name!r} among the entry points of group {GROUP}: {listed}")
    if len({entry.value for entry in found}) > 1:
        values = " and ".join(sorted({entry.value for entry in found}))
        raise InvalidInput(f"metric {name!r} is installed more than once ({values}): remove one of them")
    return found[0]
