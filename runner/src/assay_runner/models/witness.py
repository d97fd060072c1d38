"""Files of a model that are not copied: what they were when their digest was taken, and whether they are that still.

External data of gigabytes lie where their user put them, under a second name in the scratch folder. Another file that
takes their place is no trouble; whoever writes into them is, for what is computed then is not what the digest says. So
whatever is to be stored under the digest, or told to anybody, is stored and told after one more look.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from assay_runner.errors import InvalidInput


@dataclass(frozen=True)
class Witness:
    """What a file was.

    Attributes:
        path: its name in the scratch folder.
        uri: its name where it lies.
        state: inode, bytes and nanoseconds of its last change.
    """

    path: Path
    uri: str
    state: tuple[int, int, int]

    @classmethod
    def of(cls, path: Path, uri: str) -> Witness:
        """The file as it is now; to be made before it is read."""
        return cls(path, uri, _state(path))


def unchanged(files: Iterable[Witness]) -> None:
    """Do nothing where the files are what they were.

    Raises:
        InvalidInput: one of them was written to.
    """
    for file in files:
        if _state(file.path) != file.state:
            raise InvalidInput(
                f"{file.uri}, which holds weights of the model, was written to while the audit ran: "
                "leave the file alone and run the audit again"
            )


def _state(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
