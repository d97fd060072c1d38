"""Objects of the cluster as frozen values, and what is decided about them: no I/O, no decisions."""
