"""A worker whose device computes wrongly, as the environment says: through the seam that real devices go through.

`ASSAY_TEST_FAULTS` is JSON: by device, `kind` and its parameters.

    bits      bits `bits` of element `element` flipped, in every run from `after` on
    period    the sign of every `period`-th element flipped, in every run from `after` on
    rarely    bit 0 of element 0 flipped in about one of `one_in` runs; with a `seed`, in the same ones on any device
    varies    another answer in every run
    once      as rarely in the first process on this device alone; `file` remembers
    hangs     never comes back from run `after`
    dies      ends the process in run `after`, by a signal
    refuses   cannot be loaded
    prints    half a line on standard output in every run, as plugins do
    breaks    fails in run `after`, as CUDA does where it has lost the device; where `refuses` is set, as TensorRT does
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from assay_runner.errors import Internal, InvalidInput, Unavailable
from assay_runner.screening.orders import Order
from assay_runner.screening.scanning import Subject
from assay_runner.screening.subjects import opened
from assay_runner.screening.worker import work
from assay_runner.tensors import Array, Arrays, TensorSpec

FAULTS = "ASSAY_TEST_FAULTS"


class Faulty:
    """A subject on a device that computes wrongly."""

    def __init__(self, subject: Subject, fault: Mapping[str, Any], order: Order) -> None:
        self._subject, self._fault, self._runs = subject, fault, 0
        self.specs: Sequence[TensorSpec] = subject.specs
        # What shows rarely shows in other runs of each scan, and in the same ones of each test.
        scan = Path(order.answers).name
        self._random = random.Random(f"{scan.partition('-')[0]}{fault['seed']}" if "seed" in fault else scan)
        self._spent = False
        if fault["kind"] == "once":
            self._spent = Path(fault["file"]).exists()
            Path(fault["file"]).touch()

    def clock(self) -> int | None:
        return self._subject.clock()

    def run(self, inputs: Arrays) -> dict[str, Array]:
        self._runs += 1
        outputs = {name: np.array(array, copy=True) for name, array in self._subject.run(inputs).items()}
        name = min(outputs)
        self._spoil(outputs[name])
        return outputs

    def _spoil(self, array: Array) -> None:
        fault, flat = self._fault, array.reshape(-1)
        words = flat.view(f"u{array.dtype.itemsize}")
        if self._runs < fault.get("after", 0):
            return
        match fault["kind"]:
            case "bits":
                words[fault.get("element", 0)] ^= sum(1 << bit for bit in fault["bits"])
            case "period":
                words[:: fault["period"]] ^= 1 << (8 * array.dtype.itemsize - 1)
            case "rarely":
                words[0] ^= self._random.random() < 1 / fault["one_in"]
            case "once":
                words[0] ^= not self._spent and self._runs == 20
            case "varies":
                words[0] ^= self._runs % 4096
            case "prints":
                os.write(1, b"no newline")
            case "hangs":
                time.sleep(3600)
            case "breaks" if fault.get("refuses"):
                raise Unavailable("the engine did not run: launch failed")
            case "breaks":
                raise Internal("cudaStreamSynchronize failed with cudaErrorECCUncorrectable: the GPU may be broken")
            case "dies":
                os.kill(os.getpid(), signal.SIGSEGV)


@contextmanager
def faulty(order: Order) -> Iterator[Subject]:
    fault = json.loads(os.environ.get(FAULTS, "{}")).get(order.device)
    if fault and fault["kind"] == "refuses":
        raise InvalidInput("the plan cannot be loaded here")
    with opened(order) as subject:
        yield Faulty(subject, fault, order) if fault else subject


if __name__ == "__main__":
    sys.exit(work(faulty))
