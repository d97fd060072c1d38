"""Engines whose inputs and outputs are no plain arrays in device memory are refused in one sentence."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from types import SimpleNamespace

import pytest

from assay_runner.backends.tensorrt.interface import check_layouts, check_places
from assay_runner.errors import InvalidInput


class TensorLocation(Enum):
    """As TensorRT has it."""

    DEVICE = 0
    HOST = 1


class TensorFormat(Enum):
    """A few of TensorRT's."""

    LINEAR = 0
    CHW32 = 5


TRT = SimpleNamespace(TensorLocation=TensorLocation, TensorFormat=TensorFormat)


@dataclass
class Engine:
    """What of an engine says how its inputs and outputs lie; those not named lie plainly on the device."""

    places: dict[str, TensorLocation] = field(default_factory=dict)
    layouts: dict[str, TensorFormat] = field(default_factory=dict)

    def get_tensor_location(self, name: str) -> TensorLocation:
        return self.places.get(name, TensorLocation.DEVICE)

    def get_tensor_format(self, name: str) -> TensorFormat:
        return self.layouts.get(name, TensorFormat.LINEAR)


def test_plain_arrays_on_the_device_are_taken() -> None:
    check_places(TRT, Engine(), ("x", "y"))
    check_layouts(TRT, Engine(), ("x", "y"))


def test_a_shape_is_named() -> None:
    with pytest.raises(InvalidInput, match="tensor 'size' is a shape"):
        check_places(TRT, Engine(places={"size": TensorLocation.HOST}), ("x", "size"))


def test_another_layout_is_named() -> None:
    with pytest.raises(InvalidInput, match="tensor 'x' of the plan has the layout CHW32"):
        check_layouts(TRT, Engine(layouts={"x": TensorFormat.CHW32}), ("x", "y"))
