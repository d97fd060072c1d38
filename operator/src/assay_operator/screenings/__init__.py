"""GpuScreening: from a screening, its nodes and what Jobs told of them to Jobs to be made and a status; no I/O."""
