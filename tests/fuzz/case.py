"""A case: an audit and everything around it, as a folder that can be laid out, kept in one file, and laid out again."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

AUDIT = "audit.yaml"
OUT = "out"
DAMAGE = "damage.json"
"""What becomes of the cache between two runs; see `judged.damage`."""
CANARY = b"canary-of-another-tenant"
"""Content of a file outside the folder of the case: no output may hold it."""


@dataclass(frozen=True)
class Link:
    """A symbolic link."""

    target: str


class Pipe:
    """A named pipe that nobody writes to."""


class Folder:
    """An empty folder."""


Entry = bytes | Link | Pipe | Folder


@dataclass(frozen=True)
class Case:
    """An audit and everything around it.

    Attributes:
        kind: by what it was made, an entry of `kinds.KINDS`.
        files: what lies in its folder, by relative path.
    """

    kind: str
    files: Mapping[str, Entry]

    def lay_out(self, folder: Path) -> None:
        """Write all of it into an empty folder."""
        for name, entry in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(entry, bytes):
                path.write_bytes(entry)
            elif isinstance(entry, Link):
                path.symlink_to(entry.target)
            elif isinstance(entry, Pipe):
                os.mkfifo(path)
            else:
                path.mkdir(exist_ok=True)

    def packed(self) -> bytes:
        """All of it in one file, the same for the same case."""
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w:xz", format=tarfile.PAX_FORMAT) as archive:
            for name in sorted(self.files):
                _add(archive, name, self.files[name])
        return content.getvalue()


def _add(archive: tarfile.TarFile, name: str, entry: Entry) -> None:
    member = tarfile.TarInfo(name)
    if isinstance(entry, bytes):
        member.size = len(entry)
        archive.addfile(member, io.BytesIO(entry))
        return
    if isinstance(entry, Link):
        member.type, member.linkname = tarfile.SYMTYPE, entry.target
    else:
        member.type = tarfile.FIFOTYPE if isinstance(entry, Pipe) else tarfile.DIRTYPE
    archive.addfile(member)


def unpacked(content: bytes, kind: str) -> Case:
    """The case of which `content` is the file."""
    files: dict[str, Entry] = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            if member.issym():
                files[member.name] = Link(member.linkname)
            elif member.isfifo():
                files[member.name] = Pipe()
            elif member.isdir():
                files[member.name] = Folder()
            else:
                file = archive.extractfile(member)
                files[member.name] = file.read() if file else b""
    return Case(kind, files)
