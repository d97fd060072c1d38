"""One trial: a built candidate measured against the reference, and judged."""
