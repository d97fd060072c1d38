"""Progress: who is told how far the work is."""
