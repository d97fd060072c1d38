"""A script for Polygraphy's --trt-network-postprocess-script: asks for FP16 in every layer of floats.

What `debug precision` does not mark runs as it did before, which by itself is whatever the builder finds fastest. Assay
is asked for a candidate in FP16 but for what it keeps wide; this asks Polygraphy the same.
"""

from __future__ import annotations

from typing import Any


def postprocess(network: Any) -> None:
    """Ask for FP16; what Polygraphy marks afterwards is asked for in FP32."""
    import tensorrt as trt

    for layer in network:
        outputs = [layer.get_output(at) for at in range(layer.num_outputs)]
        if layer.type != trt.LayerType.CONSTANT and all(
            each.is_execution_tensor and each.dtype == trt.float32 for each in outputs
        ):
            layer.precision = trt.float16
