"""What TensorRT's versions offer, on a GPU of compute capability 9.0."""

from __future__ import annotations

from assay_runner.backends.tensorrt.configuration import Offered

TEN = Offered(weak=True, implicit=True, capability=(9, 0), version="10.6.0", tactics=True)
ELEVEN = Offered(weak=False, implicit=False, capability=(9, 0), version="11.2.1")
