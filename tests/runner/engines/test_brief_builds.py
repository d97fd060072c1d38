"""A build that is tried and thrown away leaves nothing but what serves the next one."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay_runner.backends.seams import KEPT, SHARED
from assay_runner.builds.brief import briefly_built
from assay_runner.builds.cache import BuildRequest
from tests.dear import FILE, Dear
from tests.models import Heard, loaded, mlp
from tests.orders import ordered


def test_each_build_has_a_folder_of_its_own_and_shares_what_is_shared(tmp_path: Path) -> None:
    backend, model = Dear(), loaded(mlp(), tmp_path)
    folders = []
    for number, precision in enumerate(("fp16", "bf16", "fp16")):
        order = ordered(precision, backend="onnxruntime")
        request = BuildRequest(backend, model, order, None, "", {})
        with briefly_built(request, f"try {number}", tmp_path / "builds", Heard()) as subject:
            assert (subject.key, subject.model) == (f"try {number}", model)
            assert (subject.built.folder / KEPT / "engine.plan").is_file()
            folders.append(subject.built.folder)
    assert len(set(folders)) == 3
    assert (backend.built, backend.timed) == (["fp16", "bf16", "fp16"], ["fp16", "bf16"])
    assert [path.name for path in (tmp_path / "builds").iterdir()] == [SHARED]
    assert (tmp_path / "builds" / SHARED / FILE).read_text() == "fp16\nbf16\n"


def test_a_build_that_is_broken_off_leaves_no_folder(tmp_path: Path) -> None:
    request = BuildRequest(Dear(), loaded(mlp(), tmp_path), ordered("fp16", backend="onnxruntime"), None, "", {})
    with pytest.raises(RuntimeError), briefly_built(request, "a", tmp_path / "builds", Heard()):
        raise RuntimeError("a trial that failed")
    assert [path.name for path in (tmp_path / "builds").iterdir()] == [SHARED]


def test_a_scratch_folder_may_be_named_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    request = BuildRequest(Dear(), loaded(mlp(), tmp_path), ordered("fp16", backend="onnxruntime"), None, "", {})
    with briefly_built(request, "a", Path("builds"), Heard()) as subject:
        assert (subject.built.folder / SHARED / FILE).is_file()
