"""Builds: what is ordered, what was made before, where it is kept. The building itself is a backend's."""
