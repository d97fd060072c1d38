"""What TensorRT and its stand-in must do with a timing cache that anybody may have written."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay_api.audit import BuildOptions
from assay_runner import errors
from assay_runner.backends import BACKENDS
from assay_runner.backends.tensorrt import timing
from assay_runner.backends.tensorrt.timing import TimingCache
from tests.contract.timing_caches import LinesConfig, OnLines, OnTensorRT
from tests.lab import Unavailable

On = OnLines | OnTensorRT


@pytest.fixture(scope="module", params=["lines", "tensorrt"])
def on(request: pytest.FixtureRequest) -> On:
    """Something that times layers."""
    if request.param == "lines":
        return OnLines()
    try:
        BACKENDS["tensorrt"].available()
    except errors.Unavailable as error:
        raise Unavailable(str(error)) from error
    return OnTensorRT()


@pytest.fixture(scope="module")
def caches(on: On, tmp_path_factory: pytest.TempPathFactory) -> dict[int, bytes]:
    """What a build of one layer leaves, by the layer's width."""
    found = {}
    for width in (32, 48):
        path = tmp_path_factory.mktemp("timing") / "new" / timing.NAME
        assert built(on, path, width)
        found[width] = path.read_bytes()
    return found


def built(on: On, path: Path, width: int, level: int = 1) -> bool:
    """Build with the cache in a file; whether the file was taken."""
    config = on.config()
    config.builder_optimization_level = level
    taken = timing.lend(config, path)
    on.build(config, width)
    timing.keep(config, path)
    return taken


def test_what_was_timed_is_neither_timed_nor_written_again(on: On, caches: dict[int, bytes], tmp_path: Path) -> None:
    path = tmp_path / timing.NAME
    path.write_bytes(caches[32])
    before = path.stat()
    assert built(on, path, 32)
    assert path.stat() == before
    assert built(on, path, 48)
    assert path.stat().st_size > before.st_size


@pytest.mark.parametrize("damage", ["nonsense", "truncated", "empty"])
def test_a_damaged_cache_breaks_no_build_and_is_replaced(
    on: On, caches: dict[int, bytes], damage: str, tmp_path: Path
) -> None:
    path = tmp_path / timing.NAME
    half = caches[32][: len(caches[32]) // 2]
    damaged = {"nonsense": b"no timing cache", "truncated": half, "empty": b""}[damage]
    path.write_bytes(damaged)
    built(on, path, 32)
    # Not the bytes of the first cache again: what TensorRT times depends on what the process has built before.
    assert path.read_bytes() != damaged
    assert built(on, path, 32)


def test_a_cache_of_another_device_is_refused_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / timing.NAME
    path.write_bytes(b"device elsewhere\nlayer-32 1ms\n")
    assert not built(OnLines(), path, 32)
    assert path.read_bytes() == b"device here\nlayer-32 5ms\n"


def test_level_0_leaves_the_cache_as_it_is(on: On, caches: dict[int, bytes], tmp_path: Path) -> None:
    path = tmp_path / timing.NAME
    built(on, path, 32, level=0)
    assert not path.exists()
    path.write_bytes(caches[48])
    built(on, path, 32, level=0)
    assert path.read_bytes() == caches[48]


def test_merged_caches_know_what_both_knew(on: On, caches: dict[int, bytes], tmp_path: Path) -> None:
    path = tmp_path / timing.NAME
    path.write_bytes(timing.merged(on.config(), caches[32], caches[48]))
    size = path.stat().st_size
    assert size > max(map(len, caches.values()))
    for width in caches:
        assert built(on, path, width)
    assert path.stat().st_size == size
    assert timing.merged(on.config(), caches[32], b"no timing cache") == caches[32]


def test_a_cache_that_adds_nothing_leaves_ours_byte_for_byte(on: On, caches: dict[int, bytes]) -> None:
    ours = timing.merged(on.config(), caches[32], caches[48])
    for theirs in (b"", b"of no use", *caches.values(), ours):
        assert timing.merged(on.config(), ours, theirs) == ours


def test_ours_wins_where_both_timed_a_layer() -> None:
    ours, theirs = b"device here\na 1ms\nb 1ms\n", b"device here\nb 2ms\nc 2ms\n"
    merged = timing.merged(OnLines().config(), ours, theirs)
    assert sorted(merged.decode().split("\n")) == ["", "a 1ms", "b 1ms", "c 2ms", "device here"]


def test_engines_that_run_on_several_gpus_have_a_cache_of_their_own() -> None:
    names = {timing.file_name(BuildOptions(hardware_compatibility=kind)) for kind in ("none", "amperePlus")}
    assert names == {timing.NAME, "timing-amperePlus.cache"}


def test_what_was_timed_is_told_by_key() -> None:
    on = OnLines()
    config = on.config()
    config.set_timing_cache(config.create_timing_cache(b""), False)
    on.build(config, 32)
    assert timing.entries(config) == {"layer-32": "0x3"}


def test_a_cache_that_cannot_be_edited_tells_nothing() -> None:
    class Sealed(LinesConfig):
        """Has a cache without keys."""

        def get_timing_cache(self) -> TimingCache | None:
            return None

    assert timing.entries(Sealed()) == {}
