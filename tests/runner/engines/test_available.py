"""What is said where the tensorrt backend cannot be used: each thing that may be missing, named, with exit code 69."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from assay_runner.backends.tensorrt import library
from assay_runner.backends.tensorrt.device import runtime
from assay_runner.cli.failures import complain
from assay_runner.errors import Unsupported

LOADS = "raise ImportError('libnvinfer.so.10: cannot open shared object file: No such file or directory')"
WORKS = "__version__ = '10.6.0'"
NO_DEVICE = """
class Code(int):
    name = 'cudaErrorInsufficientDriver'

def cudaGetDeviceCount():
    return Code(35), 0
"""


def installed(folder: Path, packages: dict[str, str]) -> None:
    for name, text in packages.items():
        place = folder.joinpath(*name.split("."))
        place.mkdir(parents=True, exist_ok=True)
        (place / "__init__.py").write_text(text)


@pytest.mark.parametrize(
    ("driver", "packages", "said"),
    [
        (False, {}, "needs an NVIDIA GPU and its driver, and finds neither"),
        (True, {}, "needs the TensorRT Python package in the runner's image"),
        (True, {"tensorrt": WORKS}, "needs cuda-python: install assay-runner with its extra gpu"),
        (True, {"tensorrt": LOADS, "cuda": ""}, "cannot load its library (libnvinfer.so.10: cannot open shared"),
        (True, {"tensorrt": WORKS, "cuda": ""}, "cuda-python cannot be loaded: "),
        (
            True,
            {"tensorrt": WORKS, "cuda": "", "cuda.bindings": "", "cuda.bindings.runtime": NO_DEVICE},
            "there is no usable GPU (cudaErrorInsufficientDriver): give the task one",
        ),
    ],
    ids=["driver", "bindings", "cuda", "library", "runtime", "device"],
)
def test_what_is_missing_is_one_sentence(
    driver: bool,
    packages: dict[str, str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    installed(tmp_path, packages)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(library, "DRIVER", tmp_path if driver else tmp_path / "none")
    with only(packages), pytest.raises(Unsupported) as caught:
        library.check_available()
    assert said in str(caught.value)
    assert complain(caught.value) == 69
    assert len(capsys.readouterr().err.splitlines()) == 1


@contextmanager
def only(packages: dict[str, str]) -> Iterator[None]:
    """Within the block, of TensorRT and CUDA only these can be imported, whatever this machine has."""
    real = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in ("tensorrt", "cuda")}
    for name in real:
        del sys.modules[name]
    absent: dict[str, Any] = {name: None for name in ("tensorrt", "cuda") if name not in packages}
    sys.modules.update(absent)
    runtime.cache_clear()
    try:
        yield
    finally:
        runtime.cache_clear()
        for name in [name for name in sys.modules if name.partition(".")[0] in ("tensorrt", "cuda")]:
            del sys.modules[name]
        sys.modules.update(real)
