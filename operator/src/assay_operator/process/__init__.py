"""The process: settings, logs, leadership, health, metrics."""
