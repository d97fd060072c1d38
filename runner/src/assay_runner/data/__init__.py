"""Datasets: shards to rows to batches, and the rules they must keep."""
