"""Names of dimensions that a model declares, held against the sizes that the data have.

Equal names say equal sizes, but exporters write `?` on every free axis.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from assay_runner.tensors import InputAxes, TensorSpec

FIRST: Final[InputAxes] = MappingProxyType({})


def contradicted(
    inputs: Sequence[TensorSpec], fed: Iterable[Mapping[str, tuple[int, ...]]], axes: InputAxes = FIRST
) -> frozenset[str]:
    """Names that stand for different sizes in what is fed at once.

    Args:
        inputs: of the model.
        fed: shape of one sample by input, of each kind of feed.
        axes: where inputs hold samples, of which there are few or many; along the first axis of one that is not named.
    """
    samples = {spec.name: axes.get(spec.name, 0) for spec in inputs}
    batches = {spec.shape[axis] for spec in inputs if spec.shape and (axis := samples[spec.name]) is not None}
    found = set[str]()
    for shapes in fed:
        sizes: dict[str, int] = {}
        for spec in inputs:
            own = (name for axis, name in enumerate(spec.shape) if axis != samples[spec.name])
            for name, size in zip(own, shapes[spec.name], strict=False):
                # A name of samples too is one of another size as soon as another number of them is fed.
                if isinstance(name, str) and (name in batches or sizes.setdefault(name, size) != size):
                    found.add(name)
    return frozenset(found)
