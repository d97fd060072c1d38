"""Metrics of the user's own: functions in the image, found by entry point, fed batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import EntryPoint, entry_points
from inspect import getsourcefile, isfunction, unwrap
from pathlib import Path
from typing import Any, Final

import numpy as np

from assay_runner.data.entry_points import loaded, said
from assay_runner.digests import file_sha256
from assay_runner.errors import InvalidInput
from assay_runner.evidence import Scores, ScoresWanted
from assay_runner.passes.setting import Pass, Setting, Step
from assay_runner.tensors import Array, Arrays, Batch, Floats

GROUP: Final = "assay.metrics"

Score = Callable[[Array, Array, Array | None], Any]
"""(golden, candidate, labels or None) of one batch to one float per sample."""


def load_metric(name: str) -> Score:
    """The function of this name.

    Raises:
        InvalidInput: there is none, several have the name, or it cannot be imported.
    """
    score: Score = loaded(_entry(name), "metric")
    return score


def metric_version(name: str) -> str:
    """What tells the metric of this name from another one, and from itself after a change: for keys.

    Where its package is worked on in place its version stays, so its source file counts as well.

    Raises:
        InvalidInput: as of `load_metric`.
    """
    entry = _entry(name)
    source = getsourcefile(unwrap(code)) if (code := loaded(entry, "metric")) and isfunction(unwrap(code)) else None
    digest = file_sha256(Path(source))[:16] if source and Path(source).is_file() else ""
    return f"{entry.value} {entry.dist.version if entry.dist else ''} {digest}"


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


class MetricsPass(Pass[ScoresWanted]):
    """Scores golden outputs against themselves and the candidate's against golden, batch by batch."""

    doing = "computing metrics of your own"
    reads_outputs = True

    def __init__(self, needs: Sequence[ScoresWanted], setting: Setting, stack: ExitStack) -> None:
        """Load what is named.

        Raises:
            InvalidInput: a metric cannot be loaded.
        """
        super().__init__(needs, setting, stack)
        self._sites, self._axes = setting.subject.outputs, setting.subject.built.axes
        self._scores = {need: load_metric(need.metric) for need in needs}
        self._golden: dict[ScoresWanted, list[Floats]] = {need: [] for need in needs}
        self._candidate: dict[ScoresWanted, list[Floats]] = {need: [] for need in needs}

    def add(self, step: Step) -> None:
        """Score a batch."""
        if step.found is not None:
            self._add(step.batch, step.golden, step.found)

    def _add(self, batch: Batch, golden: Arrays, candidate: Arrays) -> None:
        """Take a batch in.

        Raises:
            InvalidInput: a metric fails, or does not give one number per sample; or the output has no samples.
        """
        for need, score in self._scores.items():
            name, output = need.metric, self._output(need)
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
            self._golden[need].append(_scored(name, score, wanted, wanted, batch))
            self._candidate[need].append(_scored(name, score, wanted, found, batch))

    def result(self) -> Mapping[ScoresWanted, Scores]:
        """What was measured."""
        return {
            need: Scores(self._sites[self._output(need)], np.concatenate(parts), np.concatenate(self._candidate[need]))
            for need, parts in self._golden.items()
            if parts
        }

    def _output(self, need: ScoresWanted) -> str:
        return need.output or next(iter(self._sites))


def _locked(array: Array) -> Array:
    """A view that a metric cannot write to: others read the same memory."""
    view = array.view()
    view.flags.writeable = False
    return view


def _scored(name: str, score: Score, golden: Array, candidate: Array, batch: Batch) -> Floats:
    try:
        scores = np.array(score(golden, candidate, batch.labels), np.float64)
    except Exception as error:
        raise InvalidInput(f"metric {name!r} failed on the batch from sample {batch.start}: {said(error)}") from error
    if scores.shape != (batch.count,):
        raise InvalidInput(
            f"metric {name!r} gave shape {list(scores.shape)} for {batch.count} samples: it must give one number each"
        )
    return scores
