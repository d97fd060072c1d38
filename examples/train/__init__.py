"""Train the example models from scratch: `python -m examples.train`.

An audit is only worth showing on a model that has learned something: a random network has no accuracy to lose.
So the examples are two small networks trained here, on a data set that ships with scikit-learn, and two variants of
them that compute the same function in FP32 and break in FP16, each in a way known from practice.
"""
