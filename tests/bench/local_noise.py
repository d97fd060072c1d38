"""How much noise int8 alone makes in a model: the lowest local signal-to-noise ratios, for docs/limits.md.

usage: python -m tests.bench.local_noise METHOD MODEL.onnx CHANNELS HEIGHT WIDTH

The model reads one image, values from -1 to 1; eight are judged, sixteen others calibrated on. They are made: noise
that falls off with its frequency as that of photographs does, with blocks of one colour on it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx

from assay_runner.checks.layer_drift import LayerDrift
from assay_runner.checks.output_drift import OutputDrift
from assay_runner.tensors import Array
from tests.models import Samples
from tests.runner.numerics.candidates import int8, measured

WORST = 3


def images(count: int, channels: int, height: int, width: int) -> Array:
    """Images of their own for each count, (count, channels, height, width), float32 in [-1, 1]."""
    rng = np.random.default_rng(count)
    frequency = np.maximum(np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)), 1e-2)
    found = []
    for _ in range(count):
        spectrum = rng.normal(size=(channels, height, width)) + 1j * rng.normal(size=(channels, height, width))
        image = np.fft.ifft2(spectrum / frequency).real
        image = (image - image.mean()) / image.std() * 0.15 + 0.6
        for _ in range(12):
            top, left = rng.integers(0, height - 4), rng.integers(0, width - 4)
            down, right = rng.integers(2, max(3, height // 4)), rng.integers(2, max(3, width // 4))
            image[:, top : top + down, left : left + right] = rng.random((channels, 1, 1))
        found.append(np.clip(image, 0, 1) * 2 - 1)
    return np.array(found, np.float32)


def main(method: str, path: str, *shape: str) -> None:
    """Print the model's lowest local ratios in dB, and that of its worst output in the worst sample."""
    proto, sizes = onnx.load(path), [int(size) for size in shape]
    name = proto.graph.input[0].name
    data, calibration = (Samples({name: images(n, *sizes)}, batch=1) for n in (8, 16))
    checks = (LayerDrift(local_snr=-1000), OutputDrift())
    with tempfile.TemporaryDirectory() as folder:
        found = measured(proto, int8(method=method), data, Path(folder), *checks, calibration=calibration)
    local = sorted(layer.local_snr for layer in found.report.layers if layer.local_snr is not None)
    outputs = [float(f.value) for f in found.findings if f.check == "outputDrift" and f.value is not None]
    lowest = ", ".join(f"{value:.1f}" for value in local[:WORST])
    print(f"{Path(path).name} {method}: local {lowest} dB of {len(local)} tensors; worst output {min(outputs):.1f} dB")


if __name__ == "__main__":
    main(*sys.argv[1:])
