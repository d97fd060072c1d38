"""What `polygraphy debug precision` is given as --check: the engine is within the limit that Assay is given, or not.

Ends with 0 or 1 as a check must, and adds a line to FOLDER/checks.jsonl, so that a check that broke is not taken for an
engine that did.

    python -m tests.bench.peer_check FOLDER ENGINE
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tests.bench.files import CHECKS, DATA, GOLDEN, SNR

__all__ = ["main", "worst"]

MOST: Final = 400.0
"""dB of outputs that are equal."""


def worst(golden: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]]) -> float:
    """SNR in dB of the worst sample of any output; -400 where a value is not finite."""
    figures = []
    for name, reference in golden.items():
        wanted, got = (np.asarray(array, np.float64).reshape(len(reference), -1) for array in (reference, found[name]))
        if not np.isfinite(got).all():
            return -MOST
        noise, signal = np.square(wanted - got).sum(axis=1), np.square(wanted).sum(axis=1)
        with np.errstate(divide="ignore"):
            figures.append(np.clip(10 * np.log10(signal / np.where(noise, noise, np.nan)), -MOST, MOST))
    return float(np.nan_to_num(np.concatenate(figures), nan=MOST).min())


def measured(folder: Path, engine: Path) -> float:
    """The engine's figure over all samples."""
    from tests.gpu.bare import Bare

    [data] = sorted((folder / DATA).glob("*.npz"))
    with np.load(data) as arrays, np.load(folder / GOLDEN) as golden:
        given, wanted = dict(arrays), dict(golden)
    return worst(wanted, over(Bare(engine), given))


def over(bare: Any, given: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Outputs of all samples, in batches of the engine's own size."""
    [name] = bare.of_mode("INPUT")
    batch = bare.engine.get_tensor_shape(name)[0]
    found: dict[str, NDArray[Any]] = bare.over(given, batch)
    return found


def main() -> int:
    """Check one engine."""
    folder, engine = Path(sys.argv[1]), Path(sys.argv[2])
    line: dict[str, Any] = {"limit": SNR}
    try:
        line["snr"] = measured(folder, engine)
    except Exception as error:
        line["error"] = f"{type(error).__name__}: {error}"
        raise
    finally:
        with (folder / CHECKS).open("a") as lines:
            lines.write(json.dumps(line) + "\n")
    return int(line["snr"] < SNR)


if __name__ == "__main__":
    raise SystemExit(main())
