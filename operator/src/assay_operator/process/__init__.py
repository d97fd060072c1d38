"""The process: logs, leadership, health, metrics. What it is told by its environment is in `settings`."""
