"""ONNX graphs, rewritten without loading their weights: every function takes and gives a `ModelProto`.

Derived models (rounded, in double precision, with every tensor shown, cut into segments) of one folder share one file
of weights, so that a model of any size is converted tensor by tensor and mapped into memory by each session.
"""
