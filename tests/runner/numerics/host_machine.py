"""The CPU in the GPU's place: the same kernel source, compiled by g++, on the host's memory."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import assay_runner.backends.tensorrt as package
from assay_runner.backends.tensorrt.device import DeviceArray
from assay_runner.backends.tensorrt.kernels import SIGNATURE
from assay_runner.tensors import Array
from tests.lab import cache_dir, digest_of
from tests.lab.toolchain import debian

KERNEL = Path(package.__file__).with_name("reductions.cu")
HARNESS = Path(__file__).with_name("host_kernel.cpp")
THREADS = 4
ALIGNED = 256


class HostMachine:
    """A `Machine` whose device memory is numpy arrays.

    Counts what is moved, and how often a thread waits for a word that all blocks share.
    """

    def __init__(self) -> None:
        self.held: dict[int, Array] = {}
        self.downloaded = 0
        self.launches = 0
        self.waits = 0

    def allocate(self, size: int) -> int:
        memory = np.full(size + ALIGNED, 0xA5, np.uint8)
        pointer = -(-memory.ctypes.data // ALIGNED) * ALIGNED
        self.held[pointer] = memory
        return pointer

    def free(self, pointer: int) -> None:
        del self.held[pointer]

    def upload(self, array: Array, pointer: int, stream: int) -> None:
        ctypes.memmove(pointer, array.ctypes.data, array.nbytes)

    def download(self, pointer: int, shape: tuple[int, ...], dtype: np.dtype[Any], stream: int) -> Array:
        array = np.empty(shape, dtype)
        ctypes.memmove(array.ctypes.data, pointer, array.nbytes)
        self.downloaded += array.nbytes
        return array

    def synchronize(self, stream: int) -> None:
        return

    def launch(self, options: Mapping[str, int], blocks: int, values: Sequence[int], stream: int) -> None:
        self.launches += 1
        function = ctypes.CDLL(str(_library(options))).launch
        function.restype = ctypes.c_uint64
        arguments = (kind(value) for kind, value in zip(SIGNATURE, values, strict=True))
        self.waits += function(ctypes.c_uint32(blocks), *arguments)

    def place(self, array: Array, shift: int = 0) -> DeviceArray:
        """The array in this machine's memory, `shift` elements behind an aligned address."""
        pointer = self.allocate(array.nbytes + shift * array.itemsize) + shift * array.itemsize
        ctypes.memmove(pointer, np.ascontiguousarray(array).ctypes.data, array.nbytes)
        return DeviceArray(pointer, array.dtype, array.shape)


def _library(options: Mapping[str, int]) -> Path:
    debian("g++")
    macros = [f"-D{name}={value}" for name, value in {**options, "THREADS": THREADS}.items()]
    folder = cache_dir("host-kernels")
    library = folder / f"{digest_of([*macros, KERNEL.read_bytes(), HARNESS.read_bytes()])}.so"
    if not library.exists():
        made = folder / f"{library.stem}.{id(options):x}"
        flags = ["-std=c++20", "-O2", "-shared", "-fPIC", "-pthread", "-Wall", "-Werror", "-Wno-unknown-pragmas"]
        argv = ["g++", *flags, *macros, f'-DKERNEL="{KERNEL}"', str(HARNESS), "-o", str(made)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        made.replace(library)
    return library
