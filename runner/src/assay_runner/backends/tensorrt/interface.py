"""Which inputs and outputs of an engine can be fed and read: plain arrays in device memory, and nothing else.

TensorRT takes an address for host memory where a tensor is a shape, and for a padded, interleaved layout where a plan
was built so. Neither is an error: the one ends the process, the other gives wrong numbers. So such engines are refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from assay_runner.errors import InvalidInput


def check_places(trt: Any, engine: Any, names: Iterable[str]) -> None:
    """Do nothing where all of these inputs and outputs lie in device memory.

    Raises:
        InvalidInput: one does not.
    """
    if name := next((n for n in names if engine.get_tensor_location(n) == trt.TensorLocation.HOST), None):
        raise InvalidInput(
            f"tensor {name!r} is a shape, which TensorRT computes on the host, and cannot be audited: export the model "
            "without it among its inputs and outputs"
        )


def check_layouts(trt: Any, engine: Any, names: Iterable[str]) -> None:
    """Do nothing where all of these inputs and outputs are plain arrays, as those of every engine built here are.

    Raises:
        InvalidInput: one is not.
    """
    for name in names:
        layout = engine.get_tensor_format(name)
        if layout != trt.TensorFormat.LINEAR:
            said = str(layout).rpartition(".")[2]
            raise InvalidInput(
                f"tensor {name!r} of the plan has the layout {said}, in which it can be neither fed nor read: build it "
                "with LINEAR inputs and outputs"
            )
