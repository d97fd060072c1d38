"""Where a pass works, and what every pass is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, TypeVar

from assay_runner.backends.subject import Subject
from assay_runner.evidence import Need
from assay_runner.golden.reference import Reference
from assay_runner.graphs.sample_axes import SampleAxes, declared_axes
from assay_runner.passes.budgets import DEFAULT, Budgets
from assay_runner.tensors import Array, Arrays, Batch, Progress

N = TypeVar("N", bound=Need[Any])
Wider = Callable[[Mapping[str, str]], AbstractContextManager[Subject]]
"""Opens a candidate once more, with the nodes of these names in the formats given."""


@dataclass(frozen=True)
class Setting:
    """One candidate, and what it is held against.

    Attributes:
        subject: the candidate.
        reference: golden, and the dataset.
        progress: told how far the work is.
        budgets: of memory.
        askers: names of the checks that want each need, where that is known.
        wider: opens the candidate once more, with the nodes of these names in the formats given; None: it cannot be.
        narrow: why it cannot be opened so.
    """

    subject: Subject
    reference: Reference
    progress: Progress
    budgets: Budgets = DEFAULT
    askers: Mapping[Need[Any], tuple[str, ...]] = field(default_factory=dict)
    wider: Wider | None = None
    narrow: str = "no emulation of the candidate was at hand"

    @property
    def splits(self) -> bool:
        """Whether a batch can be taken apart: golden's model and the candidate's take any."""
        return self.reference.model.batch is None and self.subject.batch is None

    def located(self, inner: bool) -> Setting:
        """The same; its candidate is told where the samples of its tensors are.

        That is as golden shows, and where it does not, as the models declare it.

        Args:
            inner: whether tensors inside the graph are of interest, not only outputs.

        Raises:
            Unavailable: memory ran out.
        """
        built = self.subject.built
        if built.measured is not None:
            return self
        golden = self.reference.axes(inner)
        axes = golden
        if not golden.feeds:
            declared, left = declared_axes(built.source, self.subject.model.axes).axes, {*golden.wrong, *golden.rows}
            own = {name: axis for name, axis in declared.items() if name not in left}
            axes = SampleAxes({**own, **golden.axes}, golden.wrong, golden.rows, golden.folded)
        return replace(self, subject=replace(self.subject, built=replace(built, measured=axes)))


@dataclass(frozen=True)
class Step:
    """One batch, run.

    Attributes:
        batch: what was fed.
        golden: golden outputs, rows of padding cut off.
        found: the candidate's as they came: rows of padding included, samples along whatever axis the model has them;
            None where no pass reads them. `setting.subject.built.axes.samples(name, array, batch)` brings one in order:
            samples first, padding left out, and None where it is not known what belongs to which sample.
        size: samples of a part of it; 0: it is looked at as a whole.
    """

    batch: Batch
    golden: Arrays
    found: Arrays | None
    size: int = 0


class Pass(ABC, Generic[N]):
    """Measures what needs of one type ask for, all of them at once: batch by batch, or in sessions of its own.

    A trial makes it, feeds it every batch and every part of it, lets it finish while sessions are open, closes them,
    and asks for its results.
    """

    reads_outputs: ClassVar[bool] = False
    """Whether the candidate is to be run as it is served on every batch, for `Step.found`."""
    doing: ClassVar[str] = "a measurement"
    """What it does, as in "comparing outputs": begins the sentence that says how it ended the process."""
    tolerant: ClassVar[bool] = False
    """Whether that it cannot be done, on this machine or with this model, leaves all other evidence as it is."""
    takes_parts: ClassVar[bool] = False
    """Whether `add_part` is to be called."""
    of_golden: ClassVar[bool] = False
    """Whether what it measures is golden's alone, and so the same for every candidate."""

    def __init__(self, needs: Sequence[N], setting: Setting, stack: ExitStack) -> None:
        """Open what is needed.

        Args:
            needs: what is asked for.
            setting: where.
            stack: closes what is opened.

        Raises:
            InvalidInput: a parameter names what is not there.
            Unsupported: it cannot be measured here.
        """
        self.needs, self.setting = needs, setting

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of how it was done."""
        return ()

    def golden_names(self) -> Collection[str]:
        """Names of golden's tensors that `add_part` wants to see."""
        return ()

    def fits(self, batch: Batch, limit: int) -> int | None:
        """Samples of a batch like this that `add_part` can take within `limit` bytes; 0: the whole batch only.

        None: any number.
        """
        return None

    def add(self, step: Step) -> None:
        """Take a batch in."""

    def add_part(self, step: Step, part: Batch, golden: dict[str, Array]) -> None:
        """Take a part of a batch in, with golden's tensors of it, in a mapping of its own to take them out of."""

    def finish(self) -> None:
        """Every batch was seen; sessions are still open."""

    @abstractmethod
    def result(self) -> Mapping[N, Any]:
        """The evidence, by need; sessions of the trial are closed."""
