"""The activations that an 8-bit build needs ranges of: ranges by many ways at once, and the tensors themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from assay_runner.backends.calibration import Tensors, Way, swept
from assay_runner.backends.found import Found
from assay_runner.backends.order import Quantisation
from assay_runner.backends.quantisation import ready
from assay_runner.graphs.eight_bit import EightBit
from assay_runner.graphs.sample_axes import SampleAxes, declared_axes
from assay_runner.models.loading import LoadedModel
from assay_runner.tensors import Array, Arrays, Batches, Progress


@dataclass(frozen=True)
class Activations:
    """The tensors that are quantised while a model runs, computed in FP32.

    Attributes:
        names: of them.
        readers: the first node that reads each.
        axes: where their samples are.
        kind: the format that they are to be quantised to.
        whole: whether the model takes whole batches only.
    """

    names: frozenset[str]
    readers: Mapping[str, str]
    axes: SampleAxes
    kind: EightBit
    whole: bool
    _session: Tensors

    def of(self, inputs: Arrays) -> dict[str, Array]:
        """They by name, graph inputs among them too.

        Raises:
            InvalidInput: the model cannot be run on these inputs.
        """
        shown = {**inputs, **self._session.run(inputs)}
        return {name: array for name, array in shown.items() if name in self.names}

    def ranges(
        self, batches: Batches, ways: Sequence[Way], sizes: Collection[int], progress: Progress
    ) -> dict[int, dict[Way, Found]]:
        """Their ranges by number of samples and way, all from one pass over the samples.

        Args:
            batches: calibration inputs.
            ways: how ranges are chosen.
            sizes: numbers of samples to begin with, beside all of them.
            progress: told how far it is.

        Raises:
            InvalidInput: there are no samples, or a tensor is not finite on them.
        """
        found = swept(
            self._session, batches, self.names, ways, sizes, progress, axes=self.axes, kind=self.kind, whole=self.whole
        )
        return {size: {way: Found.of(each, size) for way, each in by_way.items()} for size, by_way in found.items()}


@contextmanager
def activations(model: LoadedModel, kind: EightBit, held: Mapping[str, str], scratch: Path) -> Iterator[Activations]:
    """Open a model to look at what an 8-bit build of it would quantise.

    Args:
        model: in floating point.
        kind: the format.
        held: precision by name of the nodes that are not quantised.
        scratch: where derived models lie meanwhile.

    Raises:
        InvalidInput: nothing in it can be quantised, or ONNX Runtime refuses it.
    """
    with (
        TemporaryDirectory(dir=scratch) as folder,
        ready(model.path, Quantisation(), Path(folder), kind, held) as it,
    ):
        whole = model.batch is not None and not model.feeding.feeds
        yield Activations(it.wanted, it.readers, declared_axes(it.path, model.axes), kind, whole, it.session())
