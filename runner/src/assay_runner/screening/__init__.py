"""Screening: one plan on every GPU of a machine, answers compared bit by bit."""
