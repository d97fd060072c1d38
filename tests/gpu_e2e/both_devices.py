"""Runs in a pod with several GPUs: one engine on each of them, by plain TensorRT; prints a digest of each output.

It knows nothing of Assay, and is not imported here: `test_6_two.py` sends its text into the pod.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from typing import Any


def fetched(uri: str) -> bytes:
    """An object of S3."""
    import boto3

    bucket, _, key = uri.removeprefix("s3://").partition("/")
    body: bytes = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def check(result: Any) -> Any:
    """What a call of CUDA's runtime gives, less its error code."""
    code, *rest = result
    if int(code):
        raise SystemExit(f"CUDA: {code}")
    return rest[0] if rest else None


def digests(plan: bytes, arrays: dict[str, Any], device: int) -> dict[str, str]:
    """SHA-256 of each output of the engine on one device."""
    import numpy as np
    import tensorrt as trt
    from cuda.bindings import runtime as cuda

    check(cuda.cudaSetDevice(device))
    engine = trt.Runtime(trt.Logger(trt.Logger.ERROR)).deserialize_cuda_engine(plan)
    context = engine.create_execution_context()
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    outputs = {}
    for name in names:
        if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT:
            array = np.ascontiguousarray(arrays[name])
            context.set_input_shape(name, array.shape)
        else:
            shape = tuple(context.get_tensor_shape(name))
            outputs[name] = array = np.zeros(shape, trt.nptype(engine.get_tensor_dtype(name)))
        address = check(cuda.cudaMalloc(max(array.nbytes, 1)))
        check(cuda.cudaMemcpy(address, array.ctypes.data, array.nbytes, cuda.cudaMemcpyKind.cudaMemcpyHostToDevice))
        context.set_tensor_address(name, int(address))
    stream = check(cuda.cudaStreamCreate())
    if not context.execute_async_v3(int(stream)):
        raise SystemExit(f"the engine did not run on device {device}")
    check(cuda.cudaStreamSynchronize(stream))
    down = cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
    for name, array in outputs.items():
        check(cuda.cudaMemcpy(array.ctypes.data, context.get_tensor_address(name), array.nbytes, down))
    return {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in outputs.items()}


def main(plan_uri: str, data_uri: str, batch: int) -> None:
    """Print what each device makes of the first samples."""
    import numpy as np
    from cuda.bindings import runtime as cuda

    plan = fetched(plan_uri)
    with np.load(io.BytesIO(fetched(data_uri))) as part:
        arrays = {name: part[name][:batch] for name in part.files}
    count = check(cuda.cudaGetDeviceCount())
    print(json.dumps([digests(plan, arrays, device) for device in range(count)]))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
