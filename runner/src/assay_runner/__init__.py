"""The runner of Assay: fetches, builds, measures and judges one candidate; the `assay` command."""
