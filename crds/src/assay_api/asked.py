"""What the annotations of a sweep ask for, as its status remembers it: operator and command line read the same."""

from __future__ import annotations

import hashlib
import re
from typing import Final

MOST_TOKEN: Final = 256
"""Characters of an annotation that asks for a rerun: a status holds it."""
_ASKED: Final = re.compile("(?P<r>r[0-9a-f]{8})?(?P<n>n[0-9a-f]{8})?")


def asked(rerun: str, rerun_failed: str, handled: str | None) -> str:
    """Digests of what annotations ask for, and of what was handled last of one that is not there any more.

    To take an annotation away asks for nothing.

    Args:
        rerun: the annotation that asks for everything to be audited again; empty where there is none.
        rerun_failed: the one that asks for what did not pass.
        handled: the same when the run on record began.
    """
    known = _ASKED.fullmatch(handled or "")
    before = known.groupdict("") if known else {}
    return "".join(
        f"{letter}{hashlib.sha256(token.encode(errors='replace')).hexdigest()[:8]}" if token else before.get(letter, "")
        for letter, token in (("r", rerun), ("n", rerun_failed))
    )


def answered(rerun: str, rerun_failed: str, handled: str | None) -> tuple[bool, bool]:
    """Whether the run on record answers what each of both annotations asks for; of one that is not there it does.

    Args:
        rerun: as of `asked`.
        rerun_failed: as of `asked`.
        handled: digests of what that run answers.
    """
    known = handled or ""
    return asked(rerun, "", known) == known, asked("", rerun_failed, known) == known
