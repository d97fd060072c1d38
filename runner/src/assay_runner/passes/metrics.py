"""What metrics of the user's own make of golden and candidate: batch by batch, and of the whole dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from assay_runner.data.entry_points import said
from assay_runner.errors import InvalidInput
from assay_runner.evidence import Scores, ScoresWanted
from assay_runner.passes.metric_code import MetricCode, load_metric
from assay_runner.passes.setting import Pass, Setting, Step
from assay_runner.statistics.bootstrap import Rows, reduced, single
from assay_runner.tensors import Array, Arrays, Batch


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
        self._code = {need: load_metric(need.metric) for need in needs}
        self._golden: dict[ScoresWanted, list[Rows]] = {need: [] for need in needs}
        self._candidate: dict[ScoresWanted, list[Rows]] = {need: [] for need in needs}

    def add(self, step: Step) -> None:
        """Score a batch."""
        if step.found is not None:
            self._add(step.batch, step.golden, step.found)

    def _add(self, batch: Batch, golden: Arrays, candidate: Arrays) -> None:
        """Take a batch in.

        Raises:
            InvalidInput: a metric fails, or does not give one entry per sample; or the output has no samples.
        """
        for need, code in self._code.items():
            outputs = self._read(need, code, batch, golden, candidate)
            wanted = {name: _locked(pair[0]) for name, pair in outputs.items()}
            found = {name: _locked(pair[1]) for name, pair in outputs.items()}
            labels = _told(batch)
            scored = _numbers if code.reduce is None else _entries
            for kept, side in ((self._golden, wanted), (self._candidate, found)):
                if code.several:
                    kept[need].append(scored(need.metric, code, wanted, side, labels, batch))
                else:
                    [output] = outputs
                    rows = scored(need.metric, code, wanted[output], side[output], batch.labels, batch)
                    kept[need].append(rows)

    def _read(
        self, need: ScoresWanted, code: MetricCode, batch: Batch, golden: Arrays, candidate: Arrays
    ) -> dict[str, tuple[Array, Array]]:
        """By output, golden's rows and the candidate's; of several, those that have samples.

        Raises:
            InvalidInput: the output that is asked for is not there, or has no axis of samples; or none has.
        """
        every = code.several and not need.output
        pairs = {}
        for output in self._sites if every else [self._output(need)]:
            sides = (("golden", golden), ("the candidate", candidate))
            if missing := [who for who, arrays in sides if output not in arrays]:
                raise InvalidInput(f"metric {need.metric!r} reads output {output!r}, which {missing[0]} does not have")
            rows = self._axes.samples(output, candidate[output], batch)
            if rows is not None and len(rows) == batch.count == len(golden[output]):
                pairs[output] = golden[output], rows
            elif not every:
                raise InvalidInput(
                    f"metric {need.metric!r} reads output {output!r}, which has no sample axis: its shape is "
                    f"{list(candidate[output].shape)}"
                )
        if not pairs:
            raise InvalidInput(f"metric {need.metric!r} reads outputs by sample, and none has an axis of samples")
        return pairs

    def result(self) -> Mapping[ScoresWanted, Scores]:
        """What was measured."""
        return {need: self._scores(need, code) for need, code in self._code.items() if self._golden[need]}

    def _scores(self, need: ScoresWanted, code: MetricCode) -> Scores:
        golden, candidate = _joined(self._golden[need]), _joined(self._candidate[need])
        site, several = self._sites[self._output(need)], code.several and not need.output
        if code.reduce is None:
            return Scores(site, np.asarray(golden), np.asarray(candidate), several=several)
        with np.errstate(all="ignore"):
            whole = reduced(golden, candidate, code.reduce, code.resamples)
            return Scores(site, single(golden, code.reduce), single(candidate, code.reduce), whole, several)

    def _output(self, need: ScoresWanted) -> str:
        return need.output or next(iter(self._sites))


def _joined(parts: Sequence[Rows]) -> Rows:
    """Entries of all batches: one array where the metric gave arrays that fit together, else a list."""
    if all(isinstance(part, np.ndarray) and part.shape[1:] == np.shape(parts[0])[1:] for part in parts):
        return np.concatenate([np.asarray(part) for part in parts])
    return [entry for part in parts for entry in part]


def _told(batch: Batch) -> dict[str, Array]:
    """Targets by name, and the class labels as `labels`, for metrics that take several."""
    labels = {} if batch.labels is None else {"labels": batch.labels}
    return {name: _locked(array) for name, array in (labels | dict(batch.targets)).items()}


def _locked(array: Array) -> Array:
    """A view that a metric cannot write to: others read the same memory."""
    view = array.view()
    view.flags.writeable = False
    return view


def _entries(name: str, code: MetricCode, golden: Any, candidate: Any, labels: Any, batch: Batch) -> Rows:
    """What the metric keeps of each sample of a batch, for its `reduce`.

    Raises:
        InvalidInput: it fails, or gives another number of entries.
    """
    try:
        entries = code.score(golden, candidate, labels)
        count = len(entries)
    except Exception as error:
        given = f" (outputs {', '.join(golden)}; labels {', '.join(labels) or 'none'})" if code.several else ""
        raise InvalidInput(
            f"metric {name!r} failed on the batch from sample {batch.start}: {said(error)}{given}"
        ) from error
    if count != batch.count:
        raise InvalidInput(f"metric {name!r} gave {count} entries for {batch.count} samples: it must give one each")
    # The metric may go on using its own array.
    return entries.copy() if isinstance(entries, np.ndarray) else list(entries)


def _numbers(name: str, code: MetricCode, golden: Any, candidate: Any, labels: Any, batch: Batch) -> Array:
    """One number per sample of a batch.

    Raises:
        InvalidInput: it fails, or gives something else.
    """
    try:
        scores = np.array(code.score(golden, candidate, labels), np.float64)
    except Exception as error:
        raise InvalidInput(f"metric {name!r} failed on the batch from sample {batch.start}: {said(error)}") from error
    if scores.shape != (batch.count,):
        raise InvalidInput(
            f"metric {name!r} gave shape {list(scores.shape)} for {batch.count} samples: it must give one number each"
        )
    return scores
