"""The timing cache: what TensorRT has measured and compiled for a layer, so that no equal layer is timed again.

Every build on a device shares one, so a file of it was written by anybody and may be foreign or damaged. TensorRT
refuses such a one; the build then times its layers itself, and what it found takes the file's place.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from assay_api.audit import BuildOptions
from assay_runner.backends.tensorrt.library import new_builder
from assay_runner.errors import CannotBuild

NAME: Final = "timing.cache"
EDITABLE: Final = "EDITABLE_TIMING_CACHE"
"""Name of the builder flag with which a cache tells its keys."""
_WORD: Final = (1 << 64) - 1


class TimingCache(Protocol):
    """TensorRT's `ITimingCache`, as far as it is used."""

    def combine(self, input_cache: Any, ignore_mismatch: bool) -> bool:
        """Add entries of another cache; of entries that both have, this one's stay. False: refused."""
        ...

    def serialize(self) -> Any:
        """All of it, as a buffer."""
        ...


@runtime_checkable
class Editable(Protocol):
    """An `ITimingCache` of a build with EDITABLE in its flags, in versions that have it."""

    def queryKeys(self) -> Iterable[Any]:  # noqa: N802 - TensorRT's name for it
        """Its keys, which `str` writes in hexadecimal."""
        ...

    def query(self, key: Any) -> Any:
        """The `tacticHash` and `timingMSec` of a key."""
        ...


class Config(Protocol):
    """TensorRT's `IBuilderConfig`, as far as it is used."""

    builder_optimization_level: int

    def create_timing_cache(self, serialized_timing_cache: bytes) -> TimingCache | None:
        """A cache with this content, an empty one of no bytes; None: refused."""
        ...

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        """Use it in the build. False: it is of another version or device."""
        ...

    def get_timing_cache(self) -> TimingCache | None:
        """The one in use, grown by the build."""
        ...


def file_name(options: BuildOptions) -> str:
    """Engines that run on several GPUs may use fewer kernels, and so have a cache of their own."""
    kind = options.hardware_compatibility
    return NAME if kind == "none" else f"timing-{kind}.cache"


def lend(config: Config, path: Path) -> bool:
    """Let a build use the cache in a file, or an empty one where there is none; False where the file is refused."""
    content = path.read_bytes() if path.is_file() else b""
    cache = config.create_timing_cache(content)
    if cache is not None and config.set_timing_cache(cache, False):
        return True
    config.set_timing_cache(config.create_timing_cache(b""), False)
    return False


def take(config: Config, path: Path) -> None:
    """Let a build use the cache in a file that its user has given.

    Raises:
        CannotBuild: TensorRT refuses it, or finds nothing in it: a damaged one may come out as an empty one.
    """
    anew = "make it anew with this TensorRT on this GPU, or remove timingCache"
    if not lend(config, path):
        raise CannotBuild(
            "TensorRT refuses the timing cache of build.timingCache: it is damaged, or was made by another version or "
            f"on another GPU; {anew}"
        )
    taken, empty = config.get_timing_cache(), config.create_timing_cache(b"")
    if taken is None or (empty and len(bytes(taken.serialize())) <= len(bytes(empty.serialize()))):
        raise CannotBuild(f"TensorRT finds no timing in the timing cache of build.timingCache: it is damaged; {anew}")


def keep(config: Config, path: Path) -> None:
    """Write the cache back if the build has grown it: entries are only ever added, so their bytes tell.

    Optimisation level 0 takes the first kernel that works: it times nothing.
    """
    cache = config.get_timing_cache()
    if cache is None or config.builder_optimization_level == 0:
        return
    content = bytes(cache.serialize())
    if not path.is_file() or path.stat().st_size != len(content):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def entries(config: Config) -> dict[str, str]:
    """The tactic that was the fastest for each key, as hexadecimal numbers; none where the cache cannot be edited.

    A key stands for a layer and the shapes and types of its tensors; which layer that is, only the builder's log tells.
    """
    cache = config.get_timing_cache()
    if not isinstance(cache, Editable):
        return {}
    return {str(key): f"{int(cache.query(key).tacticHash) & _WORD:#x}" for key in cache.queryKeys()}


def merged(config: Config, ours: bytes, theirs: bytes) -> bytes:
    """Both caches' entries, ours where both have one.

    Ours as it is where theirs adds nothing or TensorRT refuses it: written anew, its entries may come in another order.
    """
    cache, other = config.create_timing_cache(ours), config.create_timing_cache(theirs)
    if not theirs or cache is None or other is None:
        return ours
    size = len(bytes(cache.serialize()))
    if not cache.combine(other, False):
        return ours
    both = bytes(cache.serialize())
    return both if len(both) > size else ours


def merge(ours: Path, theirs: Path) -> None:
    """See `Keeping.merge`."""
    builder, before = new_builder(), ours.read_bytes()
    after = merged(builder.create_builder_config(), before, theirs.read_bytes())
    if after != before:
        ours.write_bytes(after)
