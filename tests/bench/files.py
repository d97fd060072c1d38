"""What lies in a benchmark's folder; here, so that a program that only reads it need not load what wrote it."""

from __future__ import annotations

__all__ = ["CHECKS", "DATA", "GOLDEN", "INPUT", "MODEL", "SNR"]

MODEL = "model.onnx"
DATA = "data"
GOLDEN = "golden.npz"
"""Outputs of the model in FP32, all samples."""
INPUT = "input"
CHECKS = "checks.jsonl"
SNR = 17.0
"""dB that the worst sample of any output must have: the limit that outputDrift has by itself."""
