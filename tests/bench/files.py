"""What lies in a benchmark's folder; here, so that a program that only reads it need not load what wrote it."""

from __future__ import annotations

__all__ = ["DATA", "INPUT", "MODEL"]

MODEL = "model.onnx"
DATA = "data"
INPUT = "input"
