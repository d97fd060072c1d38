"""Ranges found once for all designs of a candidate that hold its nodes otherwise: no data are read for them again."""

from __future__ import annotations

from dataclasses import replace

from assay_runner.backends.calibration import Way
from assay_runner.backends.sweep import activations
from assay_runner.digests import cache_key
from assay_runner.graphs.eight_bit import EightBit
from assay_runner.remedies.calibration.sources import found_ranges
from assay_runner.remedies.case import Design
from assay_runner.remedies.workshop import Workshop


def with_ranges(design: Design, workshop: Workshop) -> Design:
    """The same with its ranges known, as Q/DQ pairs; as it is where it has none to find.

    Nodes that it holds do not count: what another design does not hold has its range, too.

    Raises:
        CannotBuild: nothing in it can be quantised, or a tensor is not finite on its calibration set.
    """
    order = design.order
    how = order.quantisation
    if how is None or not how.reads or design.calibration is None or order.precision not in ("int8", "fp8"):
        return design
    kind: EightBit = "fp8" if order.precision == "fp8" else "int8"
    way = Way(how.method, how.percentile)
    identity = cache_key(model=design.model.identity, samples=design.calibration.identity)
    with activations(design.model, kind, {}, workshop.scratch) as shown:
        found = found_ranges(shown, design.calibration, identity, (way,), (), workshop)
    known = replace(how, found=found[max(found)][way], quantization="explicit")
    return replace(design, order=replace(order, quantisation=known), calibration=None)
