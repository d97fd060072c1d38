"""`assay wait`: until audits, sweeps and screenings of a cluster have ended, with their verdict as the exit code.

Read by the user's own kubectl, again and again: an API server that is away for a while ends no pipeline.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, Final

from assay_api.names import ExitCode
from assay_runner.cli.failures import printable, say
from assay_runner.cli.kubectl import Place, read_object
from assay_runner.cli.standing import Standing, standing
from assay_runner.errors import InvalidInput, Unavailable

EVERY: Final = 5.0
"""Seconds between two looks."""
_WORDS: Final = ("audit", "sweep", "screening")
_ORDER: Final = (
    ExitCode.INTERNAL, ExitCode.INVALID_INPUT, ExitCode.BREACHED, ExitCode.UNAVAILABLE, ExitCode.INCONCLUSIVE,
)  # fmt: skip


def command(arguments: argparse.Namespace) -> int:
    """Wait for all of them, tell each verdict, and end with the first code of the order of `assay run`."""
    places = [named(what, arguments.namespace, arguments.context) for what in dict.fromkeys(arguments.what)]
    until = time.monotonic() + arguments.timeout
    codes = set()
    for place in places:
        ended = waited(place, until, arguments.timeout, every=EVERY)
        codes.add(ended.code)
        if ended.regressed and arguments.regressions:
            codes.add(ExitCode.BREACHED)
        told = f"{place.word}/{place.name} {ended.word}: {ended.message or ended.reason}"
        print(printable(f"{told}{_regressions(place, ended)}"), flush=True)
    return next((code for code in _ORDER if code in codes), ExitCode.PASSED)


def _regressions(place: Place, ended: Standing) -> str:
    """What to say of answers that are worse than what was accepted: no verdict tells of them."""
    if not ended.regressed:
        return ""
    which = f"--sweep {place.name}" if place.word == "sweep" else f"{place.word}/{place.name}"
    return f"; {ended.regressed} regressed: see `assay baseline show {' '.join([which, *place.options])}`"


def named(what: str, namespace: str | None, context: str | None) -> Place:
    """What a user means by audit/NAME, sweep/NAME or screening/NAME.

    Raises:
        InvalidInput: it is none of them.
    """
    word, slash, name = what.partition("/")
    if not slash or word not in _WORDS or not name:
        raise InvalidInput(f"{what!r} is none of audit/NAME, sweep/NAME and screening/NAME: say which it is")
    return Place(name, namespace, context, word)


def waited(
    place: Place,
    until: float,
    seconds: float,
    look: Callable[[Place], dict[str, Any]] = read_object,
    every: float = EVERY,
) -> Standing:
    """Where it stands once it has ended.

    Args:
        place: what is waited for.
        until: when to give up, of the monotonic clock.
        seconds: how long that was, for the sentence.
        look: how it is read.
        every: seconds between two looks.

    Raises:
        InvalidInput: it is not there, or may not be read, or goes while it is waited for.
        Unavailable: it has not ended in time, or the cluster was away from the first look to the last.
    """
    told, seen = "", False
    while True:
        away: Unavailable | None = None
        try:
            now = standing(look(place))
            seen = True
        except Unavailable as error:
            if not seen:
                raise
            away, now = error, Standing(None, "Unknown", message=str(error))
        if now.code is not None:
            return now
        line = f"{place.word}/{place.name} {now.word}: {now.message}"
        if line != told:
            say(line)
            told = line
        if time.monotonic() >= until:
            raise away or Unavailable(
                f"{place} has not ended within {seconds:g} s ({now.word}: {now.message}): it goes on in the cluster, "
                "wait again or longer (--timeout)"
            )
        time.sleep(max(min(every, until - time.monotonic()), 0.0))
