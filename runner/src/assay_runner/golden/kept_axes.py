"""What golden showed of its samples, as it is stored with golden: whoever takes it up need run nothing to know it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from assay_api.entries import FloorEntry
from assay_api.model import Model
from assay_runner.backends.axis_probes import Followed
from assay_runner.backends.conversion import listed
from assay_runner.graphs.sample_axes import SampleAxes


class KeptAxes(Model):
    """The axes of samples that golden was asked about; of whatever else there is, what the model declares holds."""

    outputs: dict[str, int | None] = {}
    """By output, the axis that holds the samples; None where there is none."""
    wrong: dict[str, int] = {}
    """By output, an axis that is declared and that golden contradicts."""
    folded: tuple[str, ...] = ()
    """Outputs whose first axis holds several places of each sample."""
    inner: dict[str, int] | None = None
    """The same of tensors inside the graph of which nothing is declared; absent where nobody looked."""
    notes: tuple[str, ...] = ()
    """What a reader of the report must know of it."""
    floors: tuple[FloorEntry, ...] = ()
    """How far outputs of the same samples were apart, of those that were run twice."""

    def over(self, declared: SampleAxes) -> SampleAxes:
        """What is declared, with what golden showed of its outputs in place of it."""
        held = {name: axis for name, axis in declared.axes.items() if name not in {*self.wrong, *self.folded}}
        return SampleAxes({**held, **self.outputs}, self.wrong, declared.rows, frozenset(self.folded))


def axis_of(told: Followed | None, declared: int | None) -> int | None:
    """The axis that was measured; None where none was, or more than one."""
    if told is None:
        return None
    return declared if declared in (*told.axes, *told.last) else told.axes[0] if len(told.axes) == 1 else None


def settled(told: Followed | None, declared: int | None) -> bool:
    """Whether it is known where the samples are."""
    return axis_of(told, declared) is not None or bool(told and told.folded)


def decided(known: SampleAxes, asked: Iterable[str], found: Mapping[str, Followed]) -> KeptAxes:
    """What is taken of what golden showed.

    Args:
        known: what is declared.
        asked: outputs.
        found: what they made of their samples' order, as far as they were run.
    """
    axes, wrong = dict[str, int | None](), dict[str, int]()
    notes, unsure, folded = list[str](), list[str](), list[str]()
    for name in asked:
        told, declared = found.get(name), known.axes.get(name)
        axis = axis_of(told, declared)
        if axis is not None:
            axes[name] = axis
            if declared not in (None, axis):
                notes.append(
                    f"output {name!r}: by what the model declares, axis {declared} holds the samples, but golden's "
                    f"lie along axis {axis}, which is taken"
                )
        elif told and told.folded:
            folded.append(name)
        elif declared is None:
            continue
        elif told is None or not told.changed:
            unsure.append(name)
        else:
            wrong[name] = declared
            notes.append(
                f"output {name!r}: by what the model declares, axis {declared} holds the samples, but golden's do not "
                "follow them there: they lie elsewhere, or depend on one another"
            )
    if unsure:
        notes.append(
            "outputs that are random, or alike whatever the order of the samples, so that the axis of samples is taken "
            f"as the model declares it: {listed(unsure)}"
        )
    return KeptAxes(outputs=axes, wrong=wrong, folded=tuple(folded), notes=tuple(notes))
