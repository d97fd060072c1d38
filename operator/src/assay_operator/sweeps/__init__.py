"""AccuracySweep: from a sweep, its audits and what its Jobs found to audits to be made and a status; no I/O."""
