"""Damaged datasets: `.npz` by its bytes, its headers and the structure of its zip; and the files of other readers."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from typing import Any, Final

import numpy as np
from hypothesis import strategies as st
from numpy.lib import format as npy
from onnx import numpy_helper

from tests.fuzz import seeds
from tests.fuzz.case import Case, Entry, Folder, Link, Pipe
from tests.fuzz.damage import damaged

ROWS: Final = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)
_DESCRS: Final = (
    "'<f4'", "'<f8'", "'>f4'", "'|O'", "'(2,'", "'<f99'", "'V4'", "'<U3'", "''", "1", "None", "[('a', '<f4')]",
    "'<M8[ns]'", "b'<f4'", "'<f4' * 9", "('<f4', (3,))", "'<f2'", "'?'", "'<c8'", "'<f1'",
)  # fmt: skip
_SHAPES: Final = (
    "(8, 3)", "(8, 3", "(-1, 3)", "(0, 3)", "()", "(8,)", "(9, 3)", "(8, 4)", "(2**62, 3)", "(274877906944, 3)", "8",
    "[8, 3]", "(True, 3)", "(8, 3, 1)", "(8.0, 3)", "(4611686018427387904, 4611686018427387904)", "(1,)*200",
    "('8', 3)", "(8, 1099511627776)",
)  # fmt: skip
_WHOLE: Final = (
    "{1: 2, 'a': 3}", "{[]: 1}", "[]", "1", "", "{", "((((", "\x00", "9" * 5000, "(" * 9000, "-" * 9000,
    "{'descr': '<f4', 'shape': (1,2", "__import__('os')", "lambda: 0", "é", "{**1}",
)  # fmt: skip
SETTINGS: Final[tuple[dict[str, Any], ...]] = (
    {}, {"samples": 3}, {"batch": 1}, {"batch": 8}, {"samples": 1, "batch": 4}, {"labels": "label"},
    {"layout": "feeds"},
)  # fmt: skip


def _around(draw: st.DrawFn, kind: str, data: dict[str, Entry]) -> Case:
    dataset = {"uri": "file://./data/", "batch": 4, **draw(st.sampled_from(SETTINGS))}
    candidates = draw(
        st.sampled_from([[seeds.FP16], [seeds.FP16], [{**seeds.CALIBRATED, "calibration": {"uri": "file://./data/"}}]])
    )
    checks: list[Any] = [{"finite": {}}, {"outputDrift": {"cosine": 0.9}}]
    return Case(
        kind,
        seeds.around(seeds.linear_bytes(), data, seeds.audit(dataset=dataset, candidates=candidates, checks=checks)),
    )


@st.composite
def npz_bytes(draw: st.DrawFn) -> Case:
    """An `.npz` of which bytes were changed, in one shard of two."""
    arrays = {"x": ROWS, "label": np.zeros(8, np.int64)}
    content = draw(damaged(seeds.npz(arrays, draw(st.booleans()))))
    return _around(draw, "npz-bytes", {"part-0.npz": content, "part-1.npz": seeds.npz(arrays)})


@st.composite
def npz_header(draw: st.DrawFn) -> Case:
    """An `.npz` whose zip is sound, with headers, sizes and orders that are not."""
    if draw(st.integers(0, 4)) == 0:
        text = draw(st.sampled_from(_WHOLE) | st.text(max_size=30))
    else:
        order = draw(st.sampled_from(["False", "True", "1", "None", "'x'"]))
        descr, shape = (
            draw(st.sampled_from(_DESCRS[:1] * 6 + _DESCRS)),
            draw(st.sampled_from(_SHAPES[:1] * 6 + _SHAPES)),
        )
        text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"
    encoded = text.encode("latin-1", "replace")
    body = ROWS.tobytes() * draw(st.sampled_from([1, 1, 1, 2, 0])) + bytes(draw(st.sampled_from([0, 0, 0, 1, 4, 5000])))
    body = body[: draw(st.sampled_from([len(body), len(body), 1, 50]))]
    version = draw(st.sampled_from([1, 1, 1, 2, 3, 0, 9]))
    said = draw(st.sampled_from([len(encoded)] * 5 + [0, 1, 65535, len(encoded) + 3]))
    length = (
        struct.pack("<H", min(said, 65535))
        if version == 1
        else struct.pack("<I", draw(st.sampled_from([said, 2**32 - 1])))
    )
    member = npy.MAGIC_PREFIX + bytes([version, 0]) + length + encoded + body
    content = _zip({"x.npy": member}, draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])))
    return _around(draw, "npz-header", {"part-0.npz": content})


@st.composite
def npz_zip(draw: st.DrawFn) -> Case:
    """An `.npz` whose zip lies: members twice, other sizes, offsets and checksums, bombs, bytes behind the rows."""
    how = draw(st.sampled_from(["records", "records", "twice", "behind", "bomb", "methods", "names", "rows"]))
    packed = zipfile.ZIP_DEFLATED if draw(st.booleans()) else zipfile.ZIP_STORED
    good = _npy(np.asfortranarray(ROWS) if draw(st.booleans()) else ROWS)
    if how == "twice":
        content = _zip_of([("x.npy", good), ("x.npy", _npy(ROWS + 1))], packed)
    elif how == "behind":
        content = _zip({"x.npy": good + bytes(draw(st.sampled_from([1, 12, 100_000])))}, packed)
    elif how == "bomb":
        content = _zip({"x.npy": good + bytes(64 << 20)}, zipfile.ZIP_DEFLATED)
    elif how == "methods":
        content = _zip({"x.npy": good}, draw(st.sampled_from([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])))
    elif how == "names":
        name = draw(
            st.sampled_from(["../x.npy", "/x.npy", "x.npy/", "X.npy", "x.npy\0", "é.npy", "x", "a/x.npy", "n" * 60_000])
        )
        content = _zip({name: good}, packed)
    else:
        lied = bytearray(_zip({"x.npy": good, "z.npy": _npy(ROWS)}, packed))
        _lie(draw, lied, how)
        content = bytes(lied)
    return _around(draw, "npz-zip", {"part-0.npz": bytes(content)})


def _lie(draw: st.DrawFn, content: bytearray, how: str) -> None:
    """Another number in a record of the zip, or another byte in the rows, checksums as they were."""
    if how == "rows":
        content[draw(st.integers(140, 240))] ^= draw(st.integers(1, 255))
        return
    mark, fields = draw(
        st.sampled_from(
            [
                (b"PK\x05\x06", ((4, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2))),
                (
                    b"PK\x01\x02",
                    ((6, 2), (8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2), (42, 4)),
                ),
                (b"PK\x03\x04", ((4, 2), (6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2))),
            ]
        )
    )
    at, (offset, size) = content.find(mark), draw(st.sampled_from(fields))
    odd = st.sampled_from([0, 1, 256**size - 1, 256**size // 2]) | st.integers(0, 256**size - 1)
    content[at + offset : at + offset + size] = draw(odd).to_bytes(size, "little")


@st.composite
def other_formats(draw: st.DrawFn) -> Case:
    """Data of the other readers, by their bytes and by what they say of themselves."""
    made = {"safetensors": _safetensors, "test set": _test_set, "polygraphy": _polygraphy}
    return _around(draw, "other-formats", made[draw(st.sampled_from(sorted(made)))](draw))


def _safetensors(draw: st.DrawFn) -> dict[str, Entry]:
    begin, end = draw(
        st.sampled_from([(0, 96), (0, 96), (0, 97), (1, 97), (96, 0), (0, 2**62), (-1, 95), ("0", 96), (0, 0)])
    )
    shape = draw(st.sampled_from([[8, 3], [8, 3], [8, 4], [2**40, 3], [-8, -3], [8, "3"], [], None, [[8]]]))
    dtype = draw(st.sampled_from(["F32", "F32", "F64", "BF16", "X", 3, "F8_E4M3"]))
    said: Any = {"x": {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}}
    if draw(st.integers(0, 5)) == 0:
        said = draw(st.sampled_from([[], 1, {"x": 1}, {"x": {}}, {"__metadata__": 3}, {}]))
    head = draw(st.sampled_from([json.dumps(said), json.dumps(said), "[" * 100_000, '{"x":1,"x":2}', "\ud800"])).encode(
        "utf-8", "surrogatepass"
    )
    length = draw(st.sampled_from([len(head)] * 4 + [0, 2**63, 2**64 - 1, 5]))
    content = struct.pack("<Q", length) + head + ROWS.tobytes()
    return {"a.safetensors": draw(st.just(content) | damaged(content))}


def _test_set(draw: st.DrawFn) -> dict[str, Entry]:
    tensor = numpy_helper.from_array(ROWS, draw(st.sampled_from(["x", "x", "", "é"])))
    if draw(st.booleans()):
        tensor.dims[0] = draw(st.sampled_from([0, -1, 9, 2**40, 2**62]))
    if draw(st.integers(0, 4)) == 0:
        tensor.data_location = tensor.EXTERNAL
        tensor.external_data.add(key="location", value=draw(st.sampled_from(["../secret", "/etc/passwd", "w"])))
    if draw(st.integers(0, 4)) == 0:
        tensor.data_type = draw(st.integers(0, 40))
    content = tensor.SerializeToString()
    name = draw(
        st.sampled_from(["input_0.pb", "input_0.pb", "input_9999999999999999999.pb", "input_².pb", "input_.pb"])
    )
    return {f"test_data_set_0/{name}": draw(st.just(content) | damaged(content))}


def _polygraphy(draw: st.DrawFn) -> dict[str, Entry]:
    import base64

    array = base64.b64encode(_npy(ROWS)).decode()
    said: Any = [{"x": {"array": array, "polygraphy_class": "ndarray"}}]
    if draw(st.integers(0, 3)) == 0:
        said = draw(
            st.sampled_from([{}, [], [[]], [{"x": 1}], [{"x": {"array": 1}}], [{"x": {"array": "%%%"}}], [None]])
        )
    content = json.dumps(said).encode()
    content = draw(
        st.sampled_from([content, content, b"[" * 100_000, b'[{"x": 1' + b"0" * 9000 + b"}]", zlib.compress(content)])
    )
    return {"inputs.json": draw(st.just(content) | damaged(content))}


def _npy(array: Any) -> bytes:
    content = io.BytesIO()
    npy.write_array(content, array)
    return content.getvalue()


def _zip(members: dict[str, bytes], how: int) -> bytes:
    return _zip_of(list(members.items()), how)


def _zip_of(members: list[tuple[str, bytes]], how: int) -> bytes:
    import warnings

    content = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(content, "w", how) as archive:
        warnings.simplefilter("ignore")
        for name, member in members:
            archive.writestr(zipfile.ZipInfo(name), member, how)
    return content.getvalue()


IN_PLACE: Final[tuple[Entry, ...]] = (Pipe(), Folder(), Link("/dev/zero"), Link("nowhere"), Link("../secret"), b"")
