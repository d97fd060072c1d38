"""Audits of the tensorrt backend on a real GPU, each held against a few lines of plain TensorRT on the same engine."""
