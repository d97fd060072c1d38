"""One pass for the ranges of all methods and three set sizes, against one for entropy's: `… calibrations FOLDER FILE`.

FOLDER holds a model and its data, as `tests.bench.networks` writes them. Writes the seconds of either, the least of
several turns: the model runs on every sample, histograms and thresholds follow.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from assay_api.audit import ModelRef, Storage
from assay_runner.backends.calibration import WAYS, Way
from assay_runner.backends.sweep import activations
from assay_runner.data.datasets import Source, open_dataset
from assay_runner.models.loading import load_model
from assay_runner.stores import open_store
from tests.bench.files import DATA, MODEL
from tests.models import Heard

__all__ = ["main"]


def main() -> None:
    """Measure, and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("found", type=Path)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8)
    asked = parser.parse_args()
    path, data = asked.folder / MODEL, asked.folder / DATA
    store = open_store(Storage(), asked.folder)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        model = load_model(store, ModelRef(uri=f"file://{path}"), scratch / "model")
        dataset = open_dataset(store, Source(uri=f"file://{data}/", batch=asked.batch), model, scratch / "data")
        sizes = (dataset.samples // 4, dataset.samples // 2)
        taken: dict[str, list[float]] = {"all": [], "one": []}
        with activations(model, "int8", {}, scratch) as shown:
            for _ in range(asked.turns):
                for kind, ways, parts in (("one", (Way("entropy"),), ()), ("all", WAYS, sizes)):
                    start = time.perf_counter()
                    shown.ranges(dataset, ways, parts, Heard())
                    taken[kind].append(time.perf_counter() - start)
    asked.found.write_text(json.dumps({kind: min(each) for kind, each in taken.items()}))


if __name__ == "__main__":
    main()
