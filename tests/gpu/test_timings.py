"""The timing cache of a user's artifact store: grown by audits, used by the next, and never in the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from assay_api.report import Verdict
from assay_runner.backends.tensorrt.timing import NAME
from assay_runner.stores.sealed import unsealed
from tests.gpu.audits import Audited, audit, run, trt
from tests.gpu.plans import served
from tests.models import convolutions, random
from tests.timings import STAYS

DRIFT = ({"outputDrift": {"snr": 17}},)
pytestmark = pytest.mark.usefixtures("gpu")


@pytest.fixture
def audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Audited]:
    """Audits an FP16 engine of one model by name, built with further options; all share the folder `timings`."""
    monkeypatch.setenv(STAYS, str(tmp_path / "timings"))
    onnx.save(convolutions(), str(tmp_path / "model.onnx"))
    (tmp_path / "data").mkdir()
    np.savez(tmp_path / "data" / "part-0.npz", x=random(16, 4, 9, 9, seed=1))

    def audited(name: str, **build: object) -> Audited:
        candidate = trt("fp16") | {"build": {"optimizationLevel": 1, **build}}
        document = audit(name, tmp_path / "model.onnx", tmp_path / "data", [candidate], DRIFT, batch=16)
        return run(document, tmp_path)

    return audited


def test_audits_grow_one_timing_cache_and_replace_a_damaged_one(
    tmp_path: Path, audited: Callable[..., Audited]
) -> None:
    first = audited("first")
    [kept] = (tmp_path / "timings").rglob(NAME)
    whole = kept.read_bytes()
    # Another engine of the same layers: what the first one timed is enough.
    second = audited("second", workspace="1Gi")
    assert kept.stat().st_size < 1.5 * len(whole)

    kept.write_bytes(b"no timing cache")
    third = audited("third", workspace="2Gi")
    assert len(kept.read_bytes()) > 0.5 * len(whole)
    assert {told.verdict("outputDrift") for told in (first, second, third)} == {Verdict.PASSED}
    seconds = [told.candidate("fp16").engine.build_seconds for told in (first, second, third)]
    print(f"built in {seconds[0]:.1f} s, {seconds[1]:.1f} s with its timings, {seconds[2]:.1f} s without")


def test_a_timing_cache_of_somebody_else_is_built_with_and_a_damaged_one_is_refused(
    tmp_path: Path, audited: Callable[..., Audited]
) -> None:
    given = tmp_path / "given.cache"
    audited("first")
    [shared] = (tmp_path / "timings").rglob(NAME)
    # What lies in the store is sealed; what TensorRT wrote stands before the seal.
    content = unsealed(shared.read_bytes(), shared.as_uri())
    assert content is not None
    given.write_bytes(content)
    before = shared.read_bytes()
    taken = audited("second", workspace="1Gi", timingCache={"uri": given.as_uri()})
    assert taken.verdict("outputDrift") is Verdict.PASSED
    assert any("timing cache of build.timingCache" in note for note in taken.candidate("fp16").notes)
    assert shared.read_bytes() == before, "the shared one is neither read nor grown"
    # Refused, or read as an empty one: which, is TensorRT's to choose. Engines begin with the bytes of timing caches.
    for name, other in (("third", b"no timing cache"), ("fourth", served(tmp_path).read_bytes())):
        given.write_bytes(other)
        refused = audited(name, workspace="2Gi", timingCache={"uri": given.as_uri()})
        assert "timing cache of build.timingCache: it is damaged" in str(refused.candidate("fp16").error)
