"""Files of a model that are not copied: what they were when their digest was taken, and whether they are that still.

External data of gigabytes lie where their user put them, under a second name in the scratch folder. Another file that
takes their place is no trouble; whoever writes into them is, for what is computed then is not what the digest says. So
whatever is to be stored under the digest, or told to anybody, is stored and told after one more look.

Whoever may write to a file can set back when its content changed (mtime), as tools that keep it do (`cp -p`
or `rsync -t`); when its state changed (ctime) is the kernel's own to say. But a second name changes that too,
ours and another run's: where it alone is another one, the content decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from assay_runner.digests import file_sha256
from assay_runner.errors import InvalidInput
from assay_runner.file_states import FileState


@dataclass(eq=False)
class Witness:
    """What a file was.

    Attributes:
        path: its name in the scratch folder.
        uri: its name where it lies.
        sha256: of its content, once that was read.
    """

    path: Path
    uri: str
    sha256: str = ""
    _state: FileState = field(init=False, repr=False)
    _shared: bool = field(init=False, repr=False)

    @classmethod
    def of(cls, path: Path, uri: str) -> Witness:
        """The file as it is now; to be made before it is read."""
        made = cls(path, uri)
        made._shared, made._state = path.stat().st_nlink > 1, FileState.of(path)
        return made

    def read(self) -> str:
        """SHA-256 of its content, in hexadecimal."""
        self.sha256 = file_sha256(self.path)
        return self.sha256

    def unchanged(self) -> bool:
        """Whether it is what it was; read again where its state changed, as by other names for it."""
        while (now := FileState.of(self.path)) != self._state:
            mine = now._replace(changed=0) == self._state._replace(changed=0)
            # Nobody else has a name of a copy; of what was not read yet there is nothing to compare.
            if not mine or (self._shared and self.sha256 and file_sha256(self.path) != self.sha256):
                return False
            self._state = now
        return True


def unchanged(files: Iterable[Witness]) -> None:
    """Do nothing where the files are what they were.

    Raises:
        InvalidInput: one of them was written to.
    """
    for file in files:
        if not file.unchanged():
            raise InvalidInput(
                f"{file.uri}, which holds weights of the model, was written to while the audit ran: "
                "leave the file alone and run the audit again"
            )
