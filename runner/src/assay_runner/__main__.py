"""The `assay` command."""

from __future__ import annotations


def main() -> None:
    """Entry point."""
    raise SystemExit(64)
