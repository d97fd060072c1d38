"""Models: fetched, checked, outlined."""
