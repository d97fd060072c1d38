"""Backends: what builds a candidate and runs it. One small Protocol, one table, one contract suite.

A new backend is a file (or package) here and a line in `BACKENDS`.
"""
