"""Several tasks' results in one termination message: packed, for 4,096 bytes hold two or three of them as they are."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterable, Sequence
from typing import Final

from pydantic import TypeAdapter, ValidationError

from assay_api.names import TERMINATION_MESSAGE_BYTES
from assay_api.result import TaskResult, shortened, to_termination_message

ANSWERS: Final = TypeAdapter(tuple[TaskResult, ...])
MOST: Final = 256 << 10
"""Bytes that results may have unpacked: 32 of them have an eighth at most."""
LIMITS: Final = (512, 256, 128, 64)
"""Characters of each sentence, tried in this order."""


def with_answers(result: TaskResult, answers: Sequence[TaskResult]) -> TaskResult:
    """A task's result that holds those of others, as many of the first as a termination message has room for.

    Args:
        result: the task's own.
        answers: of the tasks that it did ahead.
    """
    for count in range(len(answers), 0, -1):
        for limit in LIMITS:
            packed = _packed(shortened(answer, limit) for answer in answers[:count])
            told = result.model_copy(update={"answers": packed})
            if len(to_termination_message(told).encode()) <= TERMINATION_MESSAGE_BYTES:
                return told
    return result


def answers_of(result: TaskResult) -> tuple[TaskResult, ...]:
    """The results of other tasks that a task's result holds; none where they cannot be read."""
    if not result.answers:
        return ()
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(base64.b64decode(result.answers, validate=True), MOST)
        return ANSWERS.validate_json(text) if unpacker.eof else ()
    except (binascii.Error, zlib.error, ValidationError):
        return ()


def _packed(answers: Iterable[TaskResult]) -> str:
    text = ANSWERS.dump_json(tuple(answers), by_alias=True, exclude_none=True, exclude_defaults=True)
    return base64.b64encode(zlib.compress(text, 9)).decode()
