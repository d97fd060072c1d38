"""The `assay` command."""

from __future__ import annotations

from assay_runner.cli import run_command


def main() -> None:
    """Entry point."""
    raise SystemExit(run_command())


if __name__ == "__main__":
    main()
