"""What others say of an input that passed: whatever bare ONNX Runtime or a format's own library refuses must not."""

from __future__ import annotations

import io
import os
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml

from tests.fuzz.case import AUDIT, Case

os.environ.setdefault("POLYGRAPHY_AUTOINSTALL_DEPS", "0")


def refused(case: Case, place: Path) -> str:
    """Why an input that passed should not have; empty where it should."""
    try:
        if case.kind.startswith("model"):
            bare(place)
        elif case.kind.startswith("npz") or case.kind == "other-formats":
            for path in sorted((place / "data").rglob("*")):
                if path.is_file():
                    readable(path, _used(place))
    # Whatever another library raises is its refusal.
    except Exception as error:
        return f"false pass: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return ""


def bare(place: Path) -> None:
    """Open the model of a case in bare ONNX Runtime and run it on the first samples."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(place / "model.onnx"), options, providers=["CPUExecutionProvider"])
    data = np.load(place / "data" / "part-0.npz")
    feed = {}
    for fed in session.get_inputs():
        count = fed.shape[0] if fed.shape and isinstance(fed.shape[0], int) else 4
        feed[fed.name] = data[fed.name][:count]
    session.run(None, feed)


def readable(path: Path, arrays: tuple[str, ...]) -> None:
    """Read what is used of a file by the library that its format is from, checksums and all.

    Raises:
        Exception: that refuses it.
    """
    if path.suffix == ".npz":
        with warnings.catch_warnings(), zipfile.ZipFile(path) as archive:
            warnings.simplefilter("ignore")
            for array in arrays:
                (member,) = (m for m in archive.infolist() if m.filename == f"{array}.npy")
                content = archive.read(member)
                made = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
                buffer = io.BytesIO()
                np.lib.format.write_array(buffer, made)
                if len(content) - made.nbytes > 65_536 + 12:
                    raise ValueError("there are bytes behind the rows")
    elif path.suffix == ".safetensors":
        from safetensors import numpy as safetensors

        safetensors.load(path.read_bytes())
    elif path.suffix == ".pb":
        onnx.numpy_helper.to_array(onnx.load_tensor(str(path)))
    elif path.suffix == ".json":
        from polygraphy.json import load_json

        load_json(str(path))


def _used(place: Path) -> tuple[str, ...]:
    said: Any = yaml.safe_load((place / AUDIT).read_bytes())
    labels = said["spec"]["dataset"].get("labels")
    return ("x", labels) if labels else ("x",)


if __name__ == "__main__":
    bare(Path(sys.argv[1]))
