"""Backends: what builds a candidate and runs it. One small Protocol, one table, one contract suite.

A new backend is a file (or package) here and a line in `BACKENDS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from assay_runner.backends.backend import Backend, Built, Capability, Segment, Session
from assay_runner.backends.onnxruntime import OnnxRuntime
from assay_runner.backends.tensorrt import TensorRT

__all__ = ["BACKENDS", "Backend", "Built", "Capability", "Segment", "Session"]

BACKENDS: Mapping[str, Backend] = MappingProxyType({OnnxRuntime.name: OnnxRuntime(), TensorRT.name: TensorRT()})
