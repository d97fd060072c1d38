"""What a build chose, and whether it gives the same bits: how rebuilds of one model are told apart."""

from __future__ import annotations

import hashlib
from statistics import median

import numpy as np

from assay_runner.backends.chosen import chosen
from assay_runner.backends.subject import Subject
from assay_runner.evidence import TimingWanted
from assay_runner.passes.timing import timed
from assay_runner.remedies.judged import Kernels
from assay_runner.tensors import Batches, Progress

TIMED = TimingWanted(runs=20, warm_up=3)


def kernels(subject: Subject, dataset: Batches, sessions: int, progress: Progress) -> Kernels:
    """Look at a build.

    Args:
        subject: the build.
        dataset: whose outputs are compared.
        sessions: in how many sessions, one after the other, they are made; at least 1.
        progress: told how far it is.

    Raises:
        InvalidInput: it cannot be run on these inputs.
        Unavailable: memory or the device gave out.
    """
    found = chosen(subject.built)
    bits = dict.fromkeys(_bits(subject, dataset) for _ in range(sessions))
    latency = median(timed(subject, dataset, TIMED, progress).milliseconds)
    return Kernels(
        source=found.source, tactics=found.tactics, unseen=found.unseen, bits=tuple(bits), latency_ms=latency
    )


def _bits(subject: Subject, dataset: Batches) -> str:
    """Digest of all outputs of all batches, in a session of its own."""
    digest = hashlib.sha256()
    with subject.backend.open(subject.built) as session:
        for batch in dataset:
            for name, array in sorted(session.run(batch.inputs).items()):
                digest.update(f"{name} {array.dtype} {array.shape} ".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]
