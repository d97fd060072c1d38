"""What anybody would write with TensorRT, ONNX Runtime and Polygraphy alone: what GPU audits are measured against.

python -m tests.bench.bare_gpu outputs FOLDER --plan PLAN --batch 16 --samples 256
    ONNX Runtime over the data, then an engine over the data; outputs come to the host, where nothing is done with them
python -m tests.bench.bare_gpu build FOLDER --plan PLAN --batch 16
    Polygraphy's engine with all outputs marked
python -m tests.bench.bare_gpu layers FOLDER --plan PLAN --batch 16 --samples 64
    Polygraphy's comparison of all tensors; writes FOLDER/worst.json, largest differences first
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tests.bench.bare import batches
from tests.bench.bare import session as onnx_session
from tests.bench.files import INPUT, MODEL
from tests.bench.gpu import LEVEL, TIMINGS, WORST


def some(folder: Path, batch: int, samples: int) -> Iterator[dict[str, NDArray[np.float32]]]:
    """The first samples in batches; shards and samples hold whole batches."""
    return islice(batches(folder, batch), samples // batch)


def outputs(folder: Path, plan: Path, batch: int, samples: int) -> None:
    """The two runs that an audit of one engine needs: golden and engine."""
    from tests.gpu.bare import Bare

    opened: onnxruntime.InferenceSession = onnx_session(str(folder / MODEL))
    for feeds in some(folder, batch, samples):
        opened.run(None, feeds)
    for _ in Bare(plan).each(some(folder, batch, samples)):
        pass


def build(folder: Path, plan: Path, batch: int) -> None:
    """Build with all outputs marked, in FP16 as the audit's candidate, by the timings of its layers where it left some.

    Equal layers run the same kernels then, and building takes seconds; the time of the build is no part of any figure.
    """
    from polygraphy import constants
    from polygraphy.backend.trt import (
        CreateConfig,
        EngineBytesFromNetwork,
        ModifyNetworkOutputs,
        NetworkFromOnnxPath,
        Profile,
    )

    size = next(batches(folder, batch))[INPUT].shape
    profile = Profile().add(INPUT, min=size, opt=size, max=size)
    network = ModifyNetworkOutputs(NetworkFromOnnxPath(str(folder / MODEL)), outputs=constants.MARK_ALL)
    timings = str(folder / TIMINGS) if (folder / TIMINGS).is_file() else None
    config = CreateConfig(fp16=True, profiles=[profile], builder_optimization_level=LEVEL, load_timing_cache=timings)
    plan.write_bytes(bytes(EngineBytesFromNetwork(network, config)()))


def layers(folder: Path, plan: Path, batch: int, samples: int) -> None:
    """Compare all tensors, with a tolerance that nothing exceeds: Polygraphy's drawings of failures cost extra."""
    from polygraphy import constants
    from polygraphy.backend.common import BytesFromPath
    from polygraphy.backend.onnx import BytesFromOnnx, ModifyOutputs, OnnxFromPath
    from polygraphy.backend.onnxrt import OnnxrtRunner, SessionFromOnnx
    from polygraphy.backend.trt import EngineFromBytes, TrtRunner
    from polygraphy.comparator import Comparator, SimpleCompareFunc

    marked = ModifyOutputs(OnnxFromPath(str(folder / MODEL)), outputs=constants.MARK_ALL)
    runners = [
        OnnxrtRunner(SessionFromOnnx(BytesFromOnnx(marked)), name="golden"),
        TrtRunner(EngineFromBytes(BytesFromPath(str(plan))), name="engine"),
    ]
    stream = Comparator.run(runners, data_loader=some(folder, batch, samples), streaming=True)
    results = Comparator.compare_accuracy(stream, compare_func=SimpleCompareFunc(atol=1e6, rtol=1e6))
    (folder / WORST).write_text(json.dumps(ranked(results)))


def ranked(results: Any) -> list[str]:
    """Tensors by the largest difference of any iteration, largest first."""
    largest: dict[str, float] = {}
    for result in results:
        for iterations in result.values():
            for compared in iterations:
                for name, found in compared.items():
                    largest[name] = max(largest.get(name, 0.0), float(found.max_absdiff))
    return sorted(largest, key=largest.__getitem__, reverse=True)


def main() -> None:
    """Run one of the programs."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("program", choices=("outputs", "build", "layers"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--plan", type=Path, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--samples", type=int, default=0)
    asked = parser.parse_args()
    if asked.program == "build":
        build(asked.folder, asked.plan, asked.batch)
    else:
        program = outputs if asked.program == "outputs" else layers
        program(asked.folder, asked.plan, asked.batch, asked.samples)


if __name__ == "__main__":
    main()
