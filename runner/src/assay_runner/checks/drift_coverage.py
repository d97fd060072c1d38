"""Whether enough tensors were compared for `layerDrift` to pass, and why not."""

from __future__ import annotations

from collections.abc import Sequence

from assay_runner.checks.check import MOST_UNSEEN
from assay_runner.evidence import LayerError, LayerErrors


def nothing_compared(errors: LayerErrors) -> str:
    """Why no tensor was compared."""
    if errors.skipped and not errors.foreign:
        return (
            f"no tensor could be compared with golden's: {errors.skipped[0]!r} holds no numbers, or was not shown; "
            "leave layerDrift out"
        )
    return (
        "candidate and golden share no tensor by name: build the candidate from the same graph, or leave layerDrift out"
    )


def too_little(layers: Sequence[LayerError], errors: LayerErrors) -> str:
    """Why too little was measured for a pass, or nothing."""
    if layers and not any(layer.local for layer in layers):
        return "the local error of no tensor could be measured: no part of the candidate was run on golden's tensors"
    seen = len(layers) + len(errors.exact)
    total = seen + len(errors.skipped)
    if len(errors.skipped) > MOST_UNSEEN * total:
        told = f"only {seen} of {total} tensors could be compared; "
        if errors.foreign:
            return (
                f"{told}golden has no tensor {errors.foreign[0]!r}, and only tensors of one name are: build the "
                "candidate from the same graph, or leave layerDrift out"
            )
        return f"{told}{errors.skipped[0]!r} could not, for it holds no numbers or was not shown"
    without = [layer.site.tensor for layer in layers if not layer.local]
    if len(without) > MOST_UNSEEN * total:
        return f"the local error of {len(without)} of {total} tensors could not be measured, {without[0]!r} the first"
    return ""
