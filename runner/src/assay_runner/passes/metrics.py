"""Metrics of the user's own: functions in the image, found by entry point, fed batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from typing import Any, Final

import numpy as np

from assay_runner.checks.metric import MetricCheck
from assay_runner.errors import InvalidInput
from assay_runner.evidence import Floats, Scores, Site
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.tensors import Array, Arrays, Batch

GROUP: Final = "assay.metrics"

Score = Callable[[Array, Array, Array | None], Any]
"""(golden, candidate, labels or None) of one batch to one float per sample."""


def load_metric(name: str) -> Score:
    """The function of this name.

    Raises:
        InvalidInput: there is none, several have the name, or it cannot be imported.
    """
    there = entry_points(group=GROUP)
    found = [entry for entry in there if entry.name == name]
    if not found:
        names = ", ".join(sorted({entry.name for entry in there}))
        listed = f"installed are {names}" if names else "none is installed"
        raise InvalidInput(f"there is no metric {name!r} among the entry points of group {GROUP}: {listed}")
    if len({entry.value for entry in found}) > 1:
        values = " and ".join(sorted({entry.value for entry in found}))
        raise InvalidInput(f"metric {name!r} is installed more than once ({values}): remove one of them")
    try:
        loaded = found[0].load()
    except Exception as error:
        raise InvalidInput(f"metric {name!r} cannot be imported: {_said(error)}") from error
    if not callable(loaded):
        raise InvalidInput(f"metric {name!r} is {found[0].value}, which is no function")
    score: Score = loaded
    return score


class MetricsPass:
    """Scores golden outputs against themselves and the candidate's against golden, batch by batch."""

    def __init__(self, checks: Iterable[MetricCheck], outputs: Mapping[str, Site], axes: SampleAxes) -> None:
        """Load what the checks name; `axes` says where the outputs' samples are.

        Raises:
            InvalidInput: a metric cannot be loaded.
        """
        self._sites, self._axes = outputs, axes
        self._checks = {(check.metric, check.output or ""): load_metric(check.metric) for check in checks}
        self._golden: dict[tuple[str, str], list[Floats]] = {key: [] for key in self._checks}
        self._candidate: dict[tuple[str, str], list[Floats]] = {key: [] for key in self._checks}

    def add(self, batch: Batch, golden: Arrays, candidate: Arrays) -> None:
        """Take a batch in.

        Raises:
            InvalidInput: a metric fails, or does not give one number per sample; or the output has no samples.
        """
        for key, score in self._checks.items():
            name, output = key[0], self._output(key)
            if name_missing := [
                who for who, a in (("golden", golden), ("the candidate", candidate)) if output not in a
            ]:
                raise InvalidInput(f"metric {name!r} reads output {output!r}, which {name_missing[0]} does not have")
            rows = self._axes.samples(output, candidate[output], batch)
            if rows is None or len(rows) != batch.count or len(golden[output]) != batch.count:
                raise InvalidInput(
                    f"metric {name!r} reads output {output!r}, which has no sample axis: its shape is "
                    f"{list(candidate[output].shape)}"
                )
            wanted, found = _locked(golden[output]), _locked(rows)
            self._golden[key].append(_scored(name, score, wanted, wanted, batch))
            self._candidate[key].append(_scored(name, score, wanted, found, batch))

    def result(self) -> dict[tuple[str, str], Scores]:
        """What was measured, by name and output asked for."""
        return {
            key: Scores(self._sites[self._output(key)], np.concatenate(parts), np.concatenate(self._candidate[key]))
            for key, parts in self._golden.items()
            if parts
        }

    def _output(self, key: tuple[str, str]) -> str:
        return key[1] or next(iter(self._sites))


def _locked(array: Array) -> Array:
    """A view that a metric cannot write to: others read the same memory."""
    view = array.view()
    view.flags.writeable = False
    return view


def _scored(name: str, score: Score, golden: Array, candidate: Array, batch: Batch) -> Floats:
    try:
        scores = np.array(score(golden, candidate, batch.labels), np.float64)
    except Exception as error:
        raise InvalidInput(f"metric {name!r} failed on the batch from sample {batch.start}: {_said(error)}") from error
    if scores.shape != (batch.count,):
        raise InvalidInput(
            f"metric {name!r} gave shape {list(scores.shape)} for {batch.count} samples: it must give one number each"
        )
    return scores


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200] or 'no reason given'}"
