"""Golden's own noise inside the graph: its tensors in FP32 against the same in FP64, on a few samples.

Where large terms cancel, FP32 leaves little, in golden as in a candidate. It is looked at only where a tensor is as far
from golden as a check asks about, so that an audit whose tensors are all near costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from assay_runner import interruption
from assay_runner.data.rows import is_float
from assay_runner.evidence import LayerErrors, TensorNoise
from assay_runner.golden.model import BACKEND, golden_model
from assay_runner.golden.noise import few
from assay_runner.golden.reference import Reference
from assay_runner.graphs.codes import codes
from assay_runner.graphs.documents import load_outline
from assay_runner.passes.budgets import Budgets
from assay_runner.passes.comparing import compared_here
from assay_runner.statistics.exact import is_exact

SAMPLES: Final = 2
WEIGHTS: Final = 1 << 26
"""Most weights of a model that is converted for it: half a gigabyte in FP64."""


def with_noise(errors: LayerErrors, reference: Reference, budgets: Budgets, below: float) -> LayerErrors:
    """The errors with golden's own noise, where a tensor has less than so many dB; as they are where that is not known.

    Args:
        errors: what was measured.
        reference: golden.
        budgets: of memory.
        below: dB of a tensor, local or accumulated, from which on nobody asks; -Inf: nobody does.
    """
    asked = [entry.site.tensor for entry in errors.layers if -math.inf < entry.accumulated.snr < below]
    alone = [entry.site.tensor for entry in errors.layers if entry.local and -math.inf < entry.local.snr < below]
    unequal = [entry.site.tensor for entry in errors.exact if entry.different] if below > -math.inf else []
    if not (asked or alone or unequal) or reference.precision != "fp32" or not _small(reference):
        return errors
    # What a tensor's own operation is depends on which others both have: it begins at the nearest of them.
    names = frozenset((*asked, *alone, *unequal, *(name for tensor in alone for name in errors.reads.get(tensor, ()))))
    if names not in reference.noise:
        try:
            reference.noise[names] = _measured(reference, budgets, names, bool(alone))
        except Exception:
            if interruption.came():
                raise
            # Whatever it is that cannot be converted or run in FP64, what was measured stands without it.
            reference.noise[names] = {}
    return replace(errors, noise=reference.noise[names])


def _small(reference: Reference) -> bool:
    weights = load_outline(reference.model.path).graph.initializer
    return bool(sum(math.prod(weight.dims) for weight in weights) <= WEIGHTS)


def _measured(reference: Reference, budgets: Budgets, names: Collection[str], local: bool) -> Mapping[str, TensorNoise]:
    model = reference.model
    batch = next(iter(reference.dataset))
    # What shows every tensor would show every tensor now, where a few are asked for.
    reference.rest()
    # In FP64 a tensor takes twice the memory, and golden's is held beside it.
    fits = reference.fits(batch, names, budgets.shown) // 4
    batch = few(model, batch, min(SAMPLES, max(1, fits)))
    built, _ = golden_model(model, "fp64", reference.workdir / "noise")
    built = replace(built, measured=reference.axes(inner=True))
    quantised = codes(load_outline(model.path))
    golden = {
        name: array
        for name, array in reference.of_others(batch.inputs, reference.names & set(names)).items()
        if is_float(array) or (is_exact(array) and name not in quantised)
    }
    reference.rest()
    with compared_here(BACKEND, built, budgets, local=local, tensors=golden.keys()) as found:
        found.add(batch, golden)
        accumulated, own, exact = found.accumulated(), found.local(), found.exact()
    floats = {
        name: TensorNoise(batch.fed, each.sums.snr, own[name].snr if name in own else None)
        for name, each in accumulated.items()
        if each.sums.elements and not each.reshaped
    }
    whole = {
        name: TensorNoise(batch.fed, unequal=each.different / each.elements)
        for name, each in exact.items()
        if each.elements
    }
    return {**floats, **whole}
