"""What the candidate answered, down to the last bit, as one digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from assay_runner.evidence import DigestWanted, OutputsDigest
from assay_runner.passes.setting import Pass, Setting, Step


class DigestPass(Pass[DigestWanted]):
    """Takes the digest of all outputs of all samples, as the candidate gave them."""

    doing = "taking the outputs' digest"
    reads_outputs = True
    tolerant = True

    def __init__(self, needs: Sequence[DigestWanted], setting: Setting, stack: ExitStack) -> None:
        super().__init__(needs, setting, stack)
        self._axes = setting.subject.built.axes
        self._digests: dict[str, Any] = {}

    def add(self, step: Step) -> None:
        """Take a batch in, padding left out where it is known what is padding."""
        for name, array in (step.found or {}).items():
            found = self._axes.samples(name, array, step.batch)
            whole = np.ascontiguousarray(array if found is None else found)
            digest = self._digests.get(name)
            if digest is None:
                digest = self._digests[name] = hashlib.sha256(f"{name}\0{whole.dtype}".encode())
            digest.update(f"{whole.shape[1:]}".encode())
            digest.update(whole.tobytes() if whole.dtype.hasobject else whole.view(np.uint8).data)

    def result(self) -> Mapping[DigestWanted, OutputsDigest]:
        """The digest, whatever the order of the outputs."""
        parts = (f"{name}\0{digest.hexdigest()}" for name, digest in sorted(self._digests.items()))
        value = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        return {need: OutputsDigest(value) for need in self.needs if self._digests}
