"""What is built beside what is served, and for which checks: said while it is built, and in the report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assay_runner import journal
from assay_runner.backends import Built
from assay_runner.checks import Check
from assay_runner.checks.builds import builds_of, spoken
from assay_runner.checks.extra_output import ExtraOutputCheck
from assay_runner.checks.finite import Finite
from assay_runner.checks.fp16_range import Fp16Range
from assay_runner.checks.layer_drift import LayerDrift
from assay_runner.checks.output_drift import OutputDrift
from assay_runner.trial.measure import measure
from tests.fusing import Fusing, Kept
from tests.models import Heard, Samples, mlp, random
from tests.runner.numerics.candidates import prepared


def test_checks_share_what_is_built() -> None:
    checks: list[Check] = [Finite(), OutputDrift(), LayerDrift(), Fp16Range(), ExtraOutputCheck()]
    assert builds_of(checks) == {
        "a probe that shows tensors": ("finite", "layerDrift"),
        "the layers alone": ("layerDrift",),
        "an engine with one more output": ("extraOutput",),
    }
    assert spoken(builds_of(checks)).startswith("a probe that shows tensors (finite, layerDrift), the layers alone (")


class Told(Fusing):
    """Notes what it opens tensors for."""

    def __init__(self) -> None:
        super().__init__({})
        self.purposes: list[str] = []

    @contextmanager
    def open_comparison(self, built: Built, *, local: bool, whole: bool = False) -> Iterator[Kept]:
        self.purposes.append(journal.purpose())
        with super().open_comparison(built, local=local, whole=whole) as kept:
            yield kept

    def made(self, built: Built) -> tuple[str, ...]:
        return tuple(f"a probe that shows 3 tensors for {purpose} in 2 s" for purpose in self.purposes)


def test_what_is_built_knows_its_checks_and_the_report_tells_of_it(tmp_path: Path) -> None:
    backend, checks = Told(), (Finite(), LayerDrift())
    setting, _ = prepared(mlp(), "fp16", Samples({"x": random(16, 8)}), tmp_path, *checks, backend=backend)
    told = measure(setting, checks)
    assert backend.purposes == ["finite, layerDrift"]
    assert isinstance(setting.progress, Heard)
    heard = setting.progress.notes
    assert "builds to come: a probe that shows tensors (finite, layerDrift), the layers alone (layerDrift)" in heard
    beside = "built beside the engine: a probe that shows 3 tensors for finite, layerDrift in 2 s"
    assert beside in told.report.notes
