"""What lies where a file should: links that lead elsewhere, pipes, devices, folders. Nothing hangs, nothing leaks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay_runner.errors import InvalidInput
from assay_runner.stores.local import LocalStore
from tests.cli.audits import INT8, document, good, spec, write
from tests.runner.io.made import linear, loaded

SECRET = b"not to be seen by whoever made the model".ljust(48, b"!")


def external(path: Path, location: str = "weights.bin") -> Path:
    (path.parent / location).parent.mkdir(parents=True, exist_ok=True)
    return linear(path, save_as_external_data=True, location=location, size_threshold=0)


def moved(path: Path, target: Path) -> None:
    """The file lies at the target, and a relative link where it lay."""
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)
    path.symlink_to(os.path.relpath(target, path.parent))


def linked_file(folder: Path) -> Path:
    path = external(folder / "m" / "m.onnx")
    (folder / "secret").write_bytes(SECRET)
    (folder / "m" / "weights.bin").unlink()
    (folder / "m" / "weights.bin").symlink_to(folder / "secret")
    return path


def linked_folder(folder: Path) -> Path:
    path = external(folder / "m" / "m.onnx", "sub/weights.bin")
    moved(folder / "m" / "sub", folder / "elsewhere")
    return path


def linked_twice(folder: Path) -> Path:
    path = linked_file(folder)
    moved(path.parent / "weights.bin", path.parent / "there")
    return path


def neighbour(folder: Path) -> Path:
    """Its name begins like the folder's."""
    path = external(folder / "m" / "m.onnx")
    moved(path.parent / "weights.bin", folder / "m-secret" / "weights.bin")
    return path


def evil(folder: Path, location: str) -> Path:
    """Both the model and its data are links, made by somebody who may not read what the data's link leads to."""
    path = external(folder / "home" / "evil" / "m.onnx", location)
    moved(path, folder / "home" / "e.onnx")
    (path.parent / location).unlink()
    secret = folder / "home" / ".ssh" / "id_rsa"
    secret.parent.mkdir()
    secret.write_bytes(SECRET)
    (path.parent / location).symlink_to(os.path.relpath(secret, (path.parent / location).parent))
    return path


def below_what_the_model_links_to(folder: Path) -> Path:
    return evil(folder, "weights.bin")


def deeper_below_what_the_model_links_to(folder: Path) -> Path:
    return evil(folder, "sub/weights.bin")


def mirrored_out(folder: Path) -> Path:
    """The data are where the model's link says, and a link there leads on."""
    path = mirrored(folder)
    (folder / "store" / "sub" / "weights.bin").unlink()
    (folder / "secret").write_bytes(SECRET)
    (folder / "store" / "sub" / "weights.bin").symlink_to(folder / "secret")
    return path


def mirrored(folder: Path) -> Path:
    """Every file is a link to the file of its name in another tree."""
    path = external(folder / "farm" / "m.onnx", "sub/weights.bin")
    moved(path.parent / "sub" / "weights.bin", folder / "store" / "sub" / "weights.bin")
    moved(path, folder / "store" / "m.onnx")
    return path


REFUSED = [
    linked_file, linked_folder, linked_twice, neighbour,
    below_what_the_model_links_to, deeper_below_what_the_model_links_to, mirrored_out,
]  # fmt: skip


@pytest.mark.parametrize("build", REFUSED)
def test_external_data_do_not_lead_out_of_the_models_folder(tmp_path: Path, build: Callable[[Path], Path]) -> None:
    path = build(tmp_path)
    with pytest.raises(InvalidInput, match=r"weights\.bin is a link that leads out of the model's folder"):
        loaded(path, tmp_path / "scratch")
    assert not [p for p in (tmp_path / "scratch").rglob("weights.bin") if p.is_file()]


def inside(folder: Path) -> Path:
    path = external(folder / "m" / "m.onnx")
    moved(path.parent / "weights.bin", path.parent / "blobs" / "1")
    return path


def by_a_linked_folder(folder: Path) -> Path:
    path = external(folder / "v3" / "m.onnx")
    (folder / "current").symlink_to("v3")
    return folder / "current" / path.name


def as_a_config_map_is_mounted(folder: Path) -> Path:
    external(folder / "..2026" / "m.onnx")
    (folder / "..data").symlink_to("..2026")
    for name in ("m.onnx", "weights.bin"):
        (folder / name).symlink_to(f"..data/{name}")
    return folder / "m.onnx"


def as_a_hub_keeps_its_cache(folder: Path) -> Path:
    """Both are links from a folder of names to a folder of digests, and the data lie beside the real model."""
    path = external(folder / "snapshots" / "1" / "m.onnx")
    moved(path.parent / "weights.bin", folder / "blobs" / "b")
    moved(path, folder / "blobs" / "a")
    return path


@pytest.mark.parametrize("build", [inside, by_a_linked_folder, as_a_config_map_is_mounted, as_a_hub_keeps_its_cache])
def test_links_that_onnx_runtime_follows_are_followed(tmp_path: Path, build: Callable[[Path], Path]) -> None:
    import onnxruntime

    path = build(tmp_path)
    onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert (loaded(path, tmp_path / "scratch").path.parent / "weights.bin").stat().st_size == 48


def test_a_tree_of_links_to_another_tree_is_followed(tmp_path: Path) -> None:
    path = mirrored(tmp_path)
    assert (loaded(path, tmp_path / "scratch").path.parent / "sub" / "weights.bin").stat().st_size == 48


def test_external_data_are_looked_for_beside_the_path_that_was_given(tmp_path: Path) -> None:
    path = external(tmp_path / "v3" / "m.onnx")
    (tmp_path / "current.onnx").symlink_to(path)
    with pytest.raises(InvalidInput, match=r"weights\.bin does not exist, store it there"):
        loaded(tmp_path / "current.onnx", tmp_path / "scratch")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def listening(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # A socket's whole path has 107 bytes at most.
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


KINDS: list[tuple[Callable[[Path], None], str]] = [
    (fifo, "a named pipe"),
    (device, "a device"),
    (listening, "a socket"),
    (Path.mkdir, "a folder"),
]


@pytest.mark.parametrize(("make", "kind"), KINDS, ids=[kind for _, kind in KINDS])
def test_a_store_opens_regular_files_only(tmp_path: Path, make: Callable[[Path], None], kind: str) -> None:
    make(tmp_path / "x")
    store, uri = LocalStore(), f"file://{tmp_path}/x"
    for read in (
        lambda: store.read(uri),
        lambda: store.read_range(uri, 0, 1),
        lambda: store.get(uri, tmp_path / "copy"),
        lambda: store.get(uri, tmp_path / "copy", named_by=f"file://{tmp_path}/m.onnx"),
    ):
        with pytest.raises(InvalidInput, match=f"x is (no regular file but {kind}|a link that leads out)"):
            read()


PLACES = {
    "model": "model.onnx",
    "shard": "data/part-0.npz",
    "dataset": "data.npz",
    "calibration": "calib/part-0.npz",
    "golden": "golden.npz",
    "report": "out/report.json",
    "page": "out/report.html",
    "candidate's report": "out/fp32/report.json",
}
CHANGES: dict[str, dict[str, Any]] = {
    "dataset": {"dataset": {"uri": "file://./data.npz"}},
    "golden": {"golden": {"uri": "file://./golden.npz"}},
    "calibration": {"candidates": [INT8]},
}
CASES: list[tuple[str, Callable[[Path], None], str]] = [
    *((place, fifo, "a named pipe") for place in PLACES),
    *((place, device, "a device") for place in ("model", "shard", "report")),
    ("page", Path.mkdir, "a folder"),
]


@pytest.mark.parametrize(("place", "make", "kind"), CASES, ids=[f"{place}, {kind}" for place, _, kind in CASES])
def test_an_audit_opens_regular_files_only(tmp_path: Path, place: str, make: Callable[[Path], None], kind: str) -> None:
    """In a process of its own: what hangs is killed, and what has no end fills neither disk nor memory."""
    good(tmp_path)
    path = tmp_path / PLACES[place]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    make(path)
    ended = audited(tmp_path, **CHANGES.get(place, {}))
    assert ended.returncode == 64, ended.stderr
    complaints = [line for line in ended.stderr.splitlines() if line.startswith("assay: ")]
    assert len(complaints) == 1, ended.stderr
    assert f"{path.name} is no regular file but {kind}" in complaints[0]
    assert "Traceback" not in ended.stderr


def audited(folder: Path, **changes: Any) -> subprocess.CompletedProcess[str]:
    file = write(folder, document(spec(**changes)))
    words = [sys.executable, "-m", "assay_runner", "run", "-f", file, "--out", str(folder / "out")]
    limited = ["sh", "-c", 'ulimit -f 200000 -v 6000000; exec "$@"', "-", *words]
    return subprocess.run(limited, capture_output=True, text=True, timeout=40)


def test_a_shard_whose_name_is_no_text_is_named(tmp_path: Path) -> None:
    good(tmp_path)
    os.rename(tmp_path / "data" / "part-1.npz", os.fsencode(tmp_path / "data") + b"/p\xff.npz")
    ended = audited(tmp_path)
    assert ended.returncode == 64
    assert "data/p\\udcff.npz, whose name is no UTF-8: name the file otherwise" in ended.stderr


def test_external_data_that_are_a_pipe_are_refused(tmp_path: Path) -> None:
    path = external(tmp_path / "m.onnx")
    (tmp_path / "weights.bin").unlink()
    os.mkfifo(tmp_path / "weights.bin")
    with pytest.raises(InvalidInput, match=r"weights\.bin is no regular file but a named pipe"):
        loaded(path, tmp_path / "scratch")


def test_what_a_link_stood_for_is_in_no_golden_output(tmp_path: Path) -> None:
    good(tmp_path)
    model = {"uri": f"file://{linked_file(tmp_path)}"}
    assert audited(tmp_path, model=model, checks=[{"finite": {}}]).returncode == 64
    assert not list((tmp_path / "out").rglob("*.npz"))
