"""What takes minutes or hours: the operator at the size of a fleet, and faults that last. `make soak`, docs/soak.md."""
