"""Polygraphy's way to compare every tensor of two runs: two ONNX Runtime runners, all outputs marked, streaming.

The same as `polygraphy run --onnxrt --onnxrt --onnx-outputs mark all --data-loader-script …`, by its Python API, with
the comparison that it makes by default.

    python -m tests.bench.polygraphy_layers FOLDER --batch 4
"""

from __future__ import annotations

import argparse
from pathlib import Path

from polygraphy import constants
from polygraphy.backend.onnx import BytesFromOnnx, ModifyOutputs, OnnxFromPath
from polygraphy.backend.onnxrt import OnnxrtRunner, SessionFromOnnx
from polygraphy.comparator import Comparator

from tests.bench.bare import batches
from tests.bench.files import MODEL


def compare(folder: Path, batch: int) -> None:
    """Compare all tensors of all samples."""
    model = str(folder / MODEL)
    marked = [ModifyOutputs(OnnxFromPath(model), outputs=constants.MARK_ALL) for _ in range(2)]
    runners = [
        OnnxrtRunner(SessionFromOnnx(BytesFromOnnx(loader)), name=name)
        for loader, name in zip(marked, ("golden", "candidate"), strict=True)
    ]
    stream = Comparator.run(runners, data_loader=batches(folder, batch), streaming=True)
    if not Comparator.compare_accuracy(stream):
        raise SystemExit("Polygraphy says that a model differs from itself")


def main() -> None:
    """Compare the model of a folder with itself."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batch", type=int, required=True)
    asked = parser.parse_args()
    compare(asked.folder, asked.batch)


if __name__ == "__main__":
    main()
