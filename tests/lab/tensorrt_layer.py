"""TensorRT as one more layer of the runner's image, made from libraries that lie on this machine.

Where images of NVIDIA can be pulled, `BASE_IMAGE` names one and this is not needed. Where they cannot, the libraries
often lie there all the same: the layer puts them where the image's loader looks, and the Python bindings, a wheel for
the image's Python, where its interpreter does.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.lab import Unavailable
from tests.lab.archives import Layer
from tests.lab.gpus import LIBRARIES
from tests.lab.toolchain import staged

__all__ = ["FOLDER", "tensorrt_layer"]

FOLDER: Final = "ASSAY_TENSORRT"
"""Names the folder that holds TensorRT's libraries."""
BINDINGS: Final = "ASSAY_TENSORRT_BINDINGS"
"""Names the wheel of its Python bindings, where none was brought along."""
LIBRARY: Final = re.compile(r"lib(nvinfer|nvonnxparser)[a-z0-9_]*\.so(\.[0-9.]+)?$")
PACKAGES: Final = "usr/local/lib/python3.11/dist-packages"
# What the stub package of PyPI does: the bindings under the name that everybody imports.
PACKAGE: Final = b"""\
from tensorrt_bindings import *
from tensorrt_bindings import __version__
"""


def tensorrt_layer(target: Path) -> Layer:
    """Write the layer into `target`, a tar.

    Raises:
        Unavailable: the libraries or the bindings are not there.
    """
    libraries, wheel = found_libraries(os.environ), found_bindings(os.environ)
    with tarfile.open(target, "w") as layer:
        for path in libraries:
            # One library by several names stays one file: the largest has 1.4 GB.
            layer.add(path, f"{LIBRARIES.lstrip('/')}/{path.name}", filter=plain)
        add(layer, f"{PACKAGES}/tensorrt/__init__.py", PACKAGE)
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if not name.endswith("/"):
                    add(layer, f"{PACKAGES}/{name}", archive.read(name))
    return Layer(target, {}, f"tests.lab: TensorRT of {wheel.name}")


def found_libraries(environment: Mapping[str, str]) -> list[Path]:
    """TensorRT's libraries, those that run as well as those that build."""
    if not (named := environment.get(FOLDER)):
        raise Unavailable(f"the runner's image has no TensorRT: {FOLDER} names the folder of libnvinfer.so")
    found = sorted(path for path in Path(named).glob("*") if LIBRARY.match(path.name))
    if not any(path.name.startswith("libnvinfer.so") for path in found):
        raise Unavailable(f"{FOLDER}={named} holds no libnvinfer.so: name the folder of TensorRT's libraries")
    return found


def found_bindings(environment: Mapping[str, str]) -> Path:
    """The wheel of the bindings for the image's Python."""
    if named := environment.get(BINDINGS):
        if not Path(named).is_file():
            raise Unavailable(f"{BINDINGS}={named} is no file: name a wheel of TensorRT's bindings for CPython 3.11")
        return Path(named)
    brought = staged("wheels", "image")
    wheels = sorted(brought.glob("tensorrt*bindings-*cp311-*.whl")) if brought else []
    if not wheels:
        raise Unavailable(f"no wheel of TensorRT's bindings for CPython 3.11: {BINDINGS} names one")
    return wheels[-1]


def add(layer: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file that everybody may read and load."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o755 if name.endswith(".so") else 0o644
    layer.addfile(entry, io.BytesIO(content))


def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Forget whose it was."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755
    return entry
