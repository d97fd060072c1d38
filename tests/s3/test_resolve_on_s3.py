"""Looking at the models of a sweep on a real S3 server, as its Job does: what there is, and what has changed."""

from __future__ import annotations

import io
import json
import os
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from assay_api.audit import AuditSpec, Storage
from assay_api.model import parse
from assay_api.names import TERMINATION_MESSAGE_BYTES
from assay_api.plan import Task
from assay_api.resolved import Resolved, ResolveOrder
from assay_api.result import TaskResult, to_termination_message
from assay_api.task_kinds import RESOLVE
from assay_runner.errors import InvalidInput
from assay_runner.progress.tracker import Tracker
from assay_runner.progress.views import PlainView
from assay_runner.stores import Store, open_store
from assay_runner.tasks import Context, run_task
from tests.cli.test_task import pod
from tests.lab.s3 import S3Server

SPEC: dict[str, Any] = {
    "dataset": {"uri": "PREFIX/data/{model}/"},
    "candidates": [
        {"name": "fp16", "backend": "onnxruntime", "precision": "fp16"},
        {
            "name": "int8",
            "backend": "onnxruntime",
            "precision": "int8",
            "calibration": {"uri": "PREFIX/calib/{model}.npz"},
        },
        {"name": "qat", "backend": "onnxruntime", "precision": "int8", "model": {"uri": "PREFIX/qat/{model}.onnx"}},
    ],
    "artifacts": {"uri": "PREFIX/artifacts/"},
}  # fmt: skip


@pytest.fixture
def prefix(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ASSAY_RETRY_SECONDS", "5")
    return f"s3://{s3.bucket('sweeps')}/{uuid.uuid4().hex[:8]}"


@pytest.fixture
def store(prefix: str) -> Store:
    return open_store(Storage())


def model(store: Store, uri: str, folder: Path, weights: float = 1.0) -> None:
    """A model whose weights lie beside it."""
    name = uri.rsplit("/", 1)[1]
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    w = numpy_helper.from_array(np.full((64, 64), weights, np.float32), "w")
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 64]) for n in "xy")
    made = helper.make_model(helper.make_graph([node], "g", [x], [y], [w]))
    path = folder / name
    onnx.save(made, path, save_as_external_data=True, location=f"{name}.data", size_threshold=0)
    store.put(uri, path)
    store.put(f"{uri}.data", folder / f"{name}.data")
    (folder / f"{name}.data").unlink()


def task(prefix: str, order: dict[str, Any], **changes: Any) -> Task:
    spec = {**SPEC, "model": {"uri": f"{prefix}/models/"}, **changes}
    wire = json.loads(json.dumps(spec).replace("PREFIX", prefix))
    return Task(
        kind=RESOLVE, key="models", audit="ml/nightly", run="r", output=f"{prefix}/artifacts/ml/nightly",
        cache=f"{prefix}/artifacts/cache", spec=parse(AuditSpec, wire),
        resolve=parse(ResolveOrder, order),
    )  # fmt: skip


def look(store: Store, folder: Path, made: Task) -> Resolved:
    with_place = folder / uuid.uuid4().hex
    with_place.mkdir()
    result = run_task(made, Context(store, with_place, Tracker(PlainView(io.StringIO()))))
    assert len(to_termination_message(result).encode()) <= TERMINATION_MESSAGE_BYTES
    # What the operator reads is what was told.
    told = TaskResult.model_validate_json(to_termination_message(result)).resolved
    assert told is not None
    assert told == result.resolved
    return told


def filled(store: Store, prefix: str, folder: Path, names: tuple[str, ...] = ("bert", "nested/vit")) -> None:
    for name in names:
        model(store, f"{prefix}/models/{name}.onnx", folder)
        model(store, f"{prefix}/qat/{name}.onnx", folder)
        store.put(f"{prefix}/data/{name}/0.npz", b"zero")
        store.put(f"{prefix}/calib/{name}.npz", b"calibration")


def below(prefix: str, **more: Any) -> dict[str, Any]:
    return {"prefix": {"uri": f"{prefix}/models/"}, **more}


@pytest.mark.parametrize("name", ["data/bert/0.npz", "models/bert.onnx.data", "calib/bert.npz"])
def test_files_of_an_image_are_told_apart_by_what_they_hold(name: str, store: Store, tmp_path: Path) -> None:
    """Those of the same size and time, too; and a time alone is no change."""
    prefix = f"file://{tmp_path}/held"
    filled(store, prefix, tmp_path, ("bert",))
    order = {"models": [{"name": "bert", "uri": f"{prefix}/models/bert.onnx"}]}
    path = tmp_path / "held" / name

    def found() -> Any:
        (told,) = look(store, tmp_path, task(prefix, order)).models
        return told.inputs, told.own

    first, before = found(), path.stat()
    path.touch()
    assert found() == first
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert found() != first


def test_what_is_no_file_of_an_image_is_not_waited_for(store: Store, tmp_path: Path) -> None:
    """A pipe that nobody writes to; the audit itself says so."""
    prefix = f"file://{tmp_path}/held"
    filled(store, prefix, tmp_path, ("bert",))
    os.mkfifo(tmp_path / "held" / "data" / "bert" / "1.npz")
    order = {"models": [{"name": "bert", "uri": f"{prefix}/models/bert.onnx"}]}
    assert len(look(store, tmp_path, task(prefix, order)).models) == 1


def test_every_model_below_a_prefix_is_found(prefix: str, store: Store, tmp_path: Path) -> None:
    filled(store, prefix, tmp_path)
    store.put(f"{prefix}/models/README.md", b"no model")
    found = look(store, tmp_path, task(prefix, below(prefix)))
    assert [(each.name, each.uri) for each in found.models] == [
        ("bert", f"{prefix}/models/bert.onnx"), ("nested/vit", f"{prefix}/models/nested/vit.onnx"),
    ]  # fmt: skip
    assert not found.more
    assert [len(each.own) for each in found.models] == [2, 2]


CHANGES = [
    ("models/bert.onnx.data", True, (False, False)),
    ("data/bert/0.npz", True, (False, False)),
    ("data/bert/1.npz", True, (False, False)),
    ("calib/bert.npz", False, (True, False)),
    ("qat/bert.onnx.data", False, (False, True)),
    # Nothing of it: another model's, and what only begins alike.
    ("data/bert-large/0.npz", False, (False, False)),
    ("data/nested/vit/0.npz", False, (False, False)),
    ("calib/bert.npz.old", False, (False, False)),
]


@pytest.mark.parametrize(("path", "inputs", "own"), CHANGES, ids=[change[0] for change in CHANGES])
def test_a_change_is_told_of_what_it_is_a_change_of(
    prefix: str, store: Store, tmp_path: Path, path: str, inputs: bool, own: tuple[bool, bool]
) -> None:
    filled(store, prefix, tmp_path)
    before = look(store, tmp_path, task(prefix, below(prefix))).models[0]
    assert look(store, tmp_path, task(prefix, below(prefix))).models[0] == before
    store.put(f"{prefix}/{path}", b"something else")
    after = look(store, tmp_path, task(prefix, below(prefix))).models[0]
    assert (after.inputs != before.inputs) is inputs
    assert tuple(a != b for a, b in zip(after.own, before.own, strict=True)) == own


def test_what_is_missing_or_no_model_holds_nobody_up(prefix: str, store: Store, tmp_path: Path) -> None:
    filled(store, prefix, tmp_path)
    store.put(f"{prefix}/models/broken.onnx", b"\x08 no model")
    found = {each.name: each for each in look(store, tmp_path, task(prefix, below(prefix))).models}
    assert list(found) == ["bert", "broken", "nested/vit"]
    named = {"models": [{"name": n, "uri": f"{prefix}/models/{n}.onnx"} for n in ("absent", "bert")]}
    found = {each.name: each for each in look(store, tmp_path, task(prefix, named)).models}
    assert found["absent"].inputs != found["bert"].inputs
    elsewhere = {"models": [*named["models"], {"name": "far", "uri": "s3://no-such-bucket-here/far.onnx"}]}
    assert [m.name for m in look(store, tmp_path, task(prefix, elsewhere)).models] == ["absent", "bert", "far"]


def test_what_no_model_s_audit_could_say_is_said_at_once(prefix: str, store: Store, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no object below .*/models/ matches \*\.onnx"):
        look(store, tmp_path, task(prefix, below(prefix)))
    only = {"models": [{"name": "far", "uri": "s3://no-such-bucket-here/far.onnx"}]}
    with pytest.raises(InvalidInput, match="no-such-bucket-here"):
        look(store, tmp_path, task(prefix, only))
    for name in ("a.onnx", "a"):
        store.put(f"{prefix}/models/{name}", b"x")
    order = {"prefix": {"uri": f"{prefix}/models", "match": "*"}}
    with pytest.raises(InvalidInput, match=r"a and a\.onnx below .* would both be called a"):
        look(store, tmp_path, task(prefix, order))


def test_more_models_than_one_answer_takes_come_page_by_page(prefix: str, store: Store, tmp_path: Path) -> None:
    names = [f"a-rather-long-name-of-a-model-{number:03}" for number in range(70)]
    for name in names:
        store.put(f"{prefix}/models/{name}.onnx", b"no model, which takes no time")
    found: list[str] = []
    pages = 0
    while True:
        after = {"after": found[-1]} if found else {}
        page = look(store, tmp_path, task(prefix, below(prefix, **after)))
        found += [each.name for each in page.models]
        pages += 1
        if not page.more:
            break
    assert found == names
    assert 2 <= pages <= 10


def test_a_pod_does_it(prefix: str, store: Store, tmp_path: Path) -> None:
    filled(store, prefix, tmp_path)
    code, answer, log = pod(tmp_path, task(prefix, below(prefix)))
    assert code == 0, log
    assert answer is not None
    assert answer.resolved is not None
    assert [each.name for each in answer.resolved.models] == ["bert", "nested/vit"]
