"""What `layerDrift` measured, in figures: the worst tensors, where errors start, what amplifies, what is not equal."""

from __future__ import annotations

from assay_api.tensor_details import AmplifierEntry, LayerDriftDetails, LayerDriftEntry, UnequalEntry
from assay_runner.checks.error_flow import ErrorFlow, Step
from assay_runner.checks.fused_layer import errors_of
from assay_runner.evidence import ExactError, LayerError, LayerErrors


def drift_details(errors: LayerErrors, most: int) -> LayerDriftDetails:
    """The details of a finding; each list holds at most `most`."""
    layers = [layer for layer in errors.layers if layer.elements]
    started = [layer for layer in layers if layer.local]
    origins = sorted(started, key=lambda layer: layer.local.snr if layer.local else 0.0)
    farthest = sorted(layers, key=lambda layer: layer.accumulated.snr)
    amplifiers = ErrorFlow(errors).amplifiers()
    unequal = [entry for entry in errors.exact if entry.different or entry.local]
    return LayerDriftDetails(
        compared=len(layers) + len(errors.exact),
        not_compared=len(errors.skipped),
        inside_fused_layers=len(errors.fused),
        without_local_error=len(layers) - len(started),
        worst=tuple(map(_error, farthest[:most])),
        origins=tuple(map(_error, origins[:most])),
        amplifiers=tuple(map(_amplifier, amplifiers[:most])) or None,
        unequal=tuple(map(_unequal, unequal[:most])) or None,
    )


def _error(layer: LayerError) -> LayerDriftEntry:
    return LayerDriftEntry(**errors_of(layer), starts_here=layer.starts_here)


def _amplifier(step: Step) -> AmplifierEntry:
    return AmplifierEntry(
        tensor=step.site.tensor,
        node=step.site.node,
        op=step.site.op,
        snr=step.after,
        local_snr=step.local,
        input=step.source.tensor,
        input_node=step.source.node,
        input_snr=step.before,
        amplification=step.gain,
    )


def _unequal(entry: ExactError) -> UnequalEntry:
    return UnequalEntry(
        tensor=entry.site.tensor,
        node=entry.site.node,
        op=entry.site.op,
        elements=entry.elements,
        different=entry.different,
        different_on_golden_inputs=entry.local,
    )
