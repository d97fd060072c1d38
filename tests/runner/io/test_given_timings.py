"""A timing cache that a candidate brings: fetched, verified, known by its content, and TensorRT's to take or refuse."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from assay_api.audit import Candidate, Storage
from assay_api.model import parse
from assay_runner.backends import BACKENDS
from assay_runner.backends.order import order_of
from assay_runner.backends.seams import GIVEN
from assay_runner.backends.tensorrt import timing
from assay_runner.errors import CannotBuild, InvalidInput
from assay_runner.stores import open_store
from assay_runner.tasks.timings import given_timings
from tests.contract.timing_caches import LinesConfig
from tests.models import convolutions
from tests.orders import NOWHERE

CONTENT = b"device here\nlayer-32 5ms\n"
SHA = hashlib.sha256(CONTENT).hexdigest()
TENSORRT = BACKENDS["tensorrt"]


def candidate(folder: Path, **more: Any) -> Candidate:
    given = {"uri": f"file://{folder}/trtexec.cache", **more}
    build = {"timingCache": given, "optimizationLevel": 3}
    return parse(Candidate, {"name": "a", "backend": "tensorrt", "precision": "fp16", "build": build})


def fetched(folder: Path, asked: Candidate) -> str:
    return given_timings(asked, TENSORRT, folder / "work", open_store(Storage(), base=folder))


def test_it_is_fetched_to_where_the_build_looks_and_known_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "trtexec.cache").write_bytes(CONTENT)
    assert fetched(tmp_path, candidate(tmp_path, sha256=SHA)) == SHA
    assert (tmp_path / "work" / GIVEN / timing.NAME).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("content", "more", "sentence"),
    [
        (None, {}, "trtexec.cache"),
        (b"", {}, "is empty (0 bytes): store it again"),
        (CONTENT, {"sha256": "0" * 64}, f"has SHA-256 {SHA}, not {'0' * 64} as the spec says"),
        (b"TRT-100600-EntropyCalibration2\nx: 3c010a14\n", {}, "is none, but a calibration cache"),
        (b"PK\x03\x04" + b"\0" * 64, {}, "is none, but a zip archive"),
        (b"assay sha256 00\ntimings", {}, "is none, but a sealed file of Assay's own store"),
        (b"version https://git-lfs.github.com/spec/v1\n", {}, "is none, but a Git LFS pointer"),
        (b" <!DOCTYPE html>", {}, "is none, but a web page"),
        (convolutions().SerializeToString(), {}, "is none, but an ONNX model"),
    ],
)
def test_what_is_not_there_or_not_what_was_meant_is_said(
    tmp_path: Path, content: bytes | None, more: dict[str, str], sentence: str
) -> None:
    if content is not None:
        (tmp_path / "trtexec.cache").write_bytes(content)
    with pytest.raises(InvalidInput, match=r"trtexec\.cache") as caught:
        fetched(tmp_path, candidate(tmp_path, **more))
    assert sentence in str(caught.value)


def test_what_begins_as_engines_and_timing_caches_do_is_left_to_tensorrt(tmp_path: Path) -> None:
    """On TensorRT 10.6 both begin with these bytes (`tests/gpu/test_timings.py` has real ones)."""
    (tmp_path / "trtexec.cache").write_bytes(b"ftrt\x00\x00\x00\x00")
    assert fetched(tmp_path, candidate(tmp_path))


def test_what_stands_in_for_tensorrt_times_nothing_and_fetches_none(tmp_path: Path) -> None:
    store = open_store(Storage(), base=tmp_path)
    assert given_timings(candidate(tmp_path), BACKENDS["onnxruntime"], tmp_path, store) == ""
    assert (
        given_timings(
            parse(Candidate, {"name": "a", "backend": "tensorrt", "precision": "fp16"}), TENSORRT, tmp_path, store
        )
        == ""
    )


def test_a_build_is_known_by_what_the_cache_holds_not_by_where_it_lies(tmp_path: Path) -> None:
    there, elsewhere = candidate(tmp_path), candidate(tmp_path / "other")
    plain = candidate(tmp_path).model_copy(update={"build": None})
    assert order_of(there, NOWHERE, SHA) == order_of(elsewhere, NOWHERE, SHA)
    assert order_of(there, NOWHERE, SHA).canonical() != order_of(there, NOWHERE, "0" * 64).canonical()
    assert "timing" not in order_of(plain, NOWHERE).canonical(), "keys of builds without one stay as they were"
    assert "file://" not in order_of(there, NOWHERE, SHA).canonical()


def test_it_is_taken_or_the_candidate_cannot_be_built(tmp_path: Path) -> None:
    path = tmp_path / timing.NAME
    path.write_bytes(CONTENT)
    config = LinesConfig()
    timing.take(config, path)
    assert config.used is not None
    assert config.used.entries == {"layer-32": "5ms"}
    for refused in (b"no timing cache", b"device elsewhere\nlayer-32 1ms\n"):
        path.write_bytes(refused)
        with pytest.raises(CannotBuild, match="TensorRT refuses the timing cache"):
            timing.take(LinesConfig(), path)


def test_one_in_which_tensorrt_finds_nothing_is_not_taken_in_silence(tmp_path: Path) -> None:
    """Whether a damaged cache comes out as none or as an empty one, is TensorRT's to choose."""
    path = tmp_path / timing.NAME
    path.write_bytes(b"device here\n")
    with pytest.raises(CannotBuild, match="finds no timing in the timing cache"):
        timing.take(LinesConfig(), path)
