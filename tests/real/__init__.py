"""Models that PyPI packages ship, audited whole: `python -m tests.real` (docs/real-models.md)."""
