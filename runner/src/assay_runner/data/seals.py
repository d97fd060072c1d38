"""What the files of a dataset held when it was opened, and whether they hold it still whenever they are read.

A file in a folder is told apart by its content alone. Size and time of the last change say nothing: whoever may write
to a file can set both as they were (`cp -p`, `rsync -t`). So each is read once, beside others, when it is opened.

After that, nobody reads it twice to see that it is the same. The kernel keeps when the state of a file changed (ctime),
and lets no user set that; while it stands as it was, so does the content, and where it moved on the content decides. It
is not believed of a file that changed a moment ago, whose next change may bear the same time, nor on file systems that
make the time up or leave it to a server: there a shard is read once more after each pass over it.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assay_runner.cores import cores
from assay_runner.data.arrays import corruption
from assay_runner.digests import open_sha256
from assay_runner.errors import InvalidInput
from assay_runner.file_states import FileState
from assay_runner.stores.regular import open_regular

if TYPE_CHECKING:
    from assay_runner.data.finding import Part
    from assay_runner.stores import Store

SETTLED_NS: Final = 2 * 10**9
"""Nanoseconds after a change from which on another one bears another time, on any clock that a file system goes by."""
BELIEVED: Final = frozenset(
    {"bcachefs", "btrfs", "erofs", "ext2", "ext3", "ext4", "f2fs", "overlay", "squashfs", "tmpfs", "xfs", "zfs"}
)
"""File systems of this machine's kernel that keep ctime themselves."""
_MOUNTS: Final = Path("/proc/self/mountinfo")
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")
_READERS: Final = 4


@dataclass(eq=False)
class Seal:
    """What one file of a dataset held.

    Attributes:
        path: where it lies.
        told: what to call it in a sentence.
        sha256: of its content, once that was read.
    """

    path: Path
    told: str
    sha256: str = ""
    _state: FileState = field(init=False, repr=False)
    _settled: bool = field(init=False, repr=False)

    @classmethod
    def of(cls, path: Path, told: str) -> Seal:
        """The file as it stands; to be made before anything of it is read."""
        made = cls(path, told)
        made._state = made._now()
        return made

    def read(self) -> None:
        """Read its content, which is what its headers were read of.

        Raises:
            InvalidInput: it changed since the seal was made.
        """
        before = self._state
        self.sha256 = self._content()
        if self._state != before:
            raise self._broken()

    def check(self) -> None:
        """Do nothing where it stands as it was, or holds what it held.

        Raises:
            InvalidInput: it does not.
        """
        if self._now() != self._state:
            self._held()

    def close(self) -> None:
        """Do nothing where all that was read since it was opened is what it held.

        Raises:
            InvalidInput: it is not.
        """
        self.check()
        if not self._settled:
            self._held()

    def _held(self) -> None:
        if self._content() != self.sha256:
            raise self._broken()

    def _content(self) -> str:
        """SHA-256 of what it holds; its state goes with it."""
        now = self._now()
        # Before the file is read: what changes while that lasts has another time then.
        self._settled = _believed(self.path.parent) and 0 <= now.changed <= time.time_ns() - SETTLED_NS
        with corruption(self.told):
            sha256 = (_known if self._settled else _sha256)(self.path, now)
        if self._now() != now:
            raise self._broken()
        self._state = now
        return sha256

    def _now(self) -> FileState:
        with corruption(self.told):
            try:
                return FileState.of(self.path)
            except (FileNotFoundError, NotADirectoryError):
                raise InvalidInput(
                    f"{self.told} was removed while the audit ran: put it back, leave the data alone until the audit "
                    "has ended, and run it again"
                ) from None

    def _broken(self) -> InvalidInput:
        return InvalidInput(
            f"{self.told} was written to or replaced while the audit ran: leave the data alone until the audit has "
            "ended, and run it again"
        )


def seal_of(store: Store, part: Part, whose: str) -> Seal | None:
    """The seal of a file that is read where it lies; None of any other, which the store or the scratch disk keeps.

    Args:
        store: where it lies.
        part: that is read from it.
        whose: the dataset, in words.
    """
    path = None if part.path else store.local_path(part.stat.uri)
    return Seal.of(path, f"{part.name} of {whose}") if path else None


def prints(parts: Sequence[Part], seals: Sequence[Seal | None]) -> tuple[str, ...]:
    """What tells the content of each part from any other: name, size, and digest, or its version in a store.

    What was rewritten to be read is told by what was made of it.

    Raises:
        InvalidInput: a file changed since its seal was made.
        Unavailable: one cannot be read.
    """
    with ThreadPoolExecutor(min(_READERS, cores()), "seal") as readers:
        told = readers.map(_told, parts, seals)
        return tuple(
            f"{part.stat.uri.rstrip('/').rsplit('/', 1)[-1]}\0{part.stat.size}\0{content}"
            for part, content in zip(parts, told, strict=True)
        )


def digest_of(told: Iterable[str]) -> str:
    """Of some texts, in their order."""
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def brief(told: str) -> str:
    """Of what tells a part from others, enough to say which one changed: 16 hexadecimal digits."""
    return digest_of((told,))[:16]


def _told(part: Part, seal: Seal | None) -> str:
    if part.path is not None:
        with open_regular(part.path, part.name) as file:
            return open_sha256(file)
    if seal is None:
        return part.stat.version
    seal.read()
    return seal.sha256


def _sha256(path: Path, state: FileState) -> str:
    with open_regular(path, str(path)) as file:
        return open_sha256(file)


_known = lru_cache(4096)(_sha256)
"""Of files that were opened before in this process, as stored outputs are by every candidate."""


@lru_cache(1024)
def _believed(folder: Path) -> bool:
    """Whether the file system of a folder keeps when the state of a file changed."""
    real = os.path.realpath(folder)
    try:
        lines = _MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return False
    kinds: dict[str, str] = {}
    for line in lines:
        mount, _, kind = line.partition(" - ")
        # Of several on one place the last lies on top.
        kinds[_ESCAPED.sub(lambda found: chr(int(found[1], 8)), mount.split()[4])] = kind.split()[0]
    above = (place for place in kinds if real == place or real.startswith(f"{place.rstrip('/')}/"))
    return kinds.get(max(above, key=len, default=""), "") in BELIEVED
