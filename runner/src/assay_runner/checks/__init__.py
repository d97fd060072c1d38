"""Checks: each is a frozen model of its parameters, the evidence it needs, and a pure judgement.

A new check is a file here and a line in `CHECKS`; `make generate` carries its fields and their docstrings into the
CRD, `kubectl explain` and the reference, and the contract suite picks it up.
"""
