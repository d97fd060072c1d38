"""A pod sees the GPU that it was given, and a pod that asked for none sees none."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.place import Room
from tests.gpu_e2e.evidence import Evidence
from tests.gpu_e2e.place import needs_real
from tests.gpu_e2e.pods import said
from tests.lab.gpus import Gpus

# By the driver alone, with nothing of CUDA's own.
SEES = """
import ctypes, glob, json, os
told = {"nodes": sorted(glob.glob("/dev/nvidia[0-9]*")), "user": os.getuid()}
try:
    driver = ctypes.CDLL("libcuda.so.1")
except OSError as error:
    told["driver"] = str(error)
else:
    count, name = ctypes.c_int(), ctypes.create_string_buffer(100)
    told["init"] = driver.cuInit(0)
    driver.cuDeviceGetCount(ctypes.byref(count))
    told["count"], told["names"] = count.value, []
    for index in range(count.value):
        driver.cuDeviceGetName(name, 100, index)
        told["names"].append(name.value.decode())
print(json.dumps(told))
"""
TENSORRT = """
import time
begin = time.monotonic()
import tensorrt
print(tensorrt.__version__)
builder = tensorrt.Builder(tensorrt.Logger(tensorrt.Logger.WARNING))
print(round(time.monotonic() - begin, 2), builder is not None)
"""


def seen(room: Room, name: str, gpus: int) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(said(room, name, SEES, gpus))
    return told


def test_a_pod_sees_the_gpu_that_it_was_given(room: Room, node_gpus: Gpus, evidence: Evidence) -> None:
    told = seen(room, "one", 1)
    evidence.fact("what a pod with a GPU sees", told)
    assert len(told["nodes"]) == 1
    assert told["nodes"][0] in {gpu.node for gpu in node_gpus.devices}
    assert told["user"] == 65532
    if node_gpus.real:
        assert (told["init"], told["count"], told["names"]) == (0, 1, [node_gpus.product])
    else:
        assert "libcuda.so.1" in told["driver"]


def test_a_pod_that_asks_for_no_gpu_sees_none(room: Room) -> None:
    told = seen(room, "none", 0)
    assert told["nodes"] == []
    assert "driver" in told


def test_the_runners_image_holds_tensorrt_where_there_is_a_gpu(room: Room, node_gpus: Gpus, evidence: Evidence) -> None:
    needs_real(node_gpus, "TensorRT")
    version, loaded = said(room, "tensorrt", TENSORRT, 1).splitlines()[-2:]
    evidence.fact("TensorRT in a pod", {"version": version, "seconds to load": loaded})
