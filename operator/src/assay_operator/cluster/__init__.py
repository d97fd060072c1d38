"""The cluster: what is seen of it, and how it is spoken to."""
