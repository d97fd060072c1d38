"""Golden: what the model itself computes, run or stored, and held for everybody who asks."""
