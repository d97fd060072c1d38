"""What is computed from tensors: in float64, in blocks that stay in the processor's cache, never whole copies."""
