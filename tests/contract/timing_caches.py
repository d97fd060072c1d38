"""What fills timing caches: TensorRT, and a stand-in of which every entry is a line, the first naming the device."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from assay_runner.backends.tensorrt.library import new_builder, tensorrt
from assay_runner.backends.tensorrt.timing import Config, TimingCache

HERE = "here"


@dataclass
class Timing:
    """An entry, which TensorRT tells with a signed number."""

    tacticHash: int  # noqa: N815 - TensorRT's name for it


@dataclass
class Lines:
    """A timing cache.

    Attributes:
        device: whose timings it holds.
        entries: timing by layer.
    """

    device: str = HERE
    entries: dict[str, str] = field(default_factory=dict)

    def combine(self, input_cache: TimingCache, ignore_mismatch: bool) -> bool:
        assert isinstance(input_cache, Lines)
        if input_cache.device != self.device and not ignore_mismatch:
            return False
        self.entries = {**input_cache.entries, **self.entries}
        return True

    def queryKeys(self) -> list[str]:  # noqa: N802 - TensorRT's name for it
        return list(self.entries)

    def query(self, key: str) -> Timing:
        return Timing(len(self.entries[key]))

    def serialize(self) -> bytes:
        """Newest first: TensorRT too writes what it has read in another order."""
        entries = [f"{layer} {timing}" for layer, timing in reversed(self.entries.items())]
        return "\n".join([f"device {self.device}", *entries, ""]).encode()


@dataclass
class LinesConfig:
    """A builder's configuration that keeps timings as lines."""

    builder_optimization_level: int = 1
    used: Lines | None = None

    def create_timing_cache(self, serialized_timing_cache: bytes) -> TimingCache | None:
        if not serialized_timing_cache:
            return Lines()
        head, *rest = serialized_timing_cache.decode(errors="replace").split("\n")
        if not head.startswith("device ") or rest[-1:] != [""]:
            return None
        return Lines(head.removeprefix("device "), dict(line.partition(" ")[::2] for line in rest[:-1]))

    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
        assert isinstance(cache, Lines)
        if cache.device != HERE and not ignore_mismatch:
            return False
        self.used = cache
        return True

    def get_timing_cache(self) -> TimingCache | None:
        return self.used


class OnLines:
    """Builds nothing, and times it."""

    def config(self) -> Config:
        """A fresh configuration."""
        return LinesConfig()

    def build(self, config: Config, width: int) -> None:
        """Time a layer of some width, unless the cache knows it."""
        assert isinstance(config, LinesConfig)
        if config.used is not None:
            config.used.entries.setdefault(f"layer-{width}", "5ms")


class OnTensorRT:
    """Builds networks of one layer."""

    def __init__(self) -> None:
        self.trt = tensorrt()
        self.builder = new_builder()

    def config(self) -> Config:
        """A fresh configuration."""
        config: Config = self.builder.create_builder_config()
        config.builder_optimization_level = 1
        return config

    def build(self, config: Config, width: int) -> None:
        """Build a product of matrices of some width."""
        network = self.builder.create_network(0)
        given = network.add_input("x", self.trt.float32, (width, width))
        held = network.add_constant((width, width), np.ones((width, width), np.float32)).get_output(0)
        none = self.trt.MatrixOperation.NONE
        network.mark_output(network.add_matrix_multiply(given, none, held, none).get_output(0))
        assert self.builder.build_serialized_network(network, config) is not None
