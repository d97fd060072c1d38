"""Stands in for TensorRT and CUDA where neither is: what Polygraphy and the programs here need to run to their end.

Names are as in TensorRT 10; the numbers are nobody's. An engine knows which layers were asked for in FP32, and gives
golden outputs where all that STANDIN_NEEDS names are among them, else NaN.
"""
