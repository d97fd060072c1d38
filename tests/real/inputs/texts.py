"""Files and sentences as bytes and ids."""

from __future__ import annotations

import io
import json
import re

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["arabic", "files"]

TEXT = "value key error return import class self data index count result list item name path open read write"
WORDS = tuple(re.findall(r"\w+", TEXT))
PADDING = 256
EDGE = 1024
LETTERS = 36


def files(random: np.random.Generator, samples: int) -> tuple[NDArray[np.int32], list[str]]:
    """The first and the last 1,024 bytes of files, as magika reads them, (samples, 2048), and what each is."""
    kinds = sorted(KINDS)
    chosen = [kinds[index % len(kinds)] for index in range(samples)]
    return np.stack([_ends(KINDS[kind](random)) for kind in chosen]), chosen


def _ends(content: bytes) -> NDArray[np.int32]:
    content = content.strip()
    row = np.full(2 * EDGE, PADDING, np.int32)
    head, tail = content[:EDGE], content[-EDGE:]
    row[: len(head)] = list(head)
    row[2 * EDGE - len(tail) :] = list(tail)
    return row


def _words(random: np.random.Generator, count: int) -> list[str]:
    return [str(word) for word in random.choice(WORDS, count)]


def _python(random: np.random.Generator) -> bytes:
    lines = ["import os", "import sys", "", ""]
    for name in _words(random, int(random.integers(5, 30))):
        first, second, third = _words(random, 3)
        lines += [f"def {name}_{first}(self, {second}):", f'    """Return the {third}."""']
        lines += [f"    for {first} in range(len({second})):", f"        self.{third} += {second}[{first}]"]
        lines += [f"    return self.{third}", ""]
    return "\n".join(lines).encode()


def _json(random: np.random.Generator) -> bytes:
    rows = [dict.fromkeys(_words(random, 4), int(random.integers(1000))) for _ in range(int(random.integers(5, 40)))]
    return json.dumps({"items": rows, "count": len(rows)}, indent=2).encode()


def _html(random: np.random.Generator) -> bytes:
    body = "".join(f"<div class='{a}'><p>{b} {c}</p></div>\n" for a, b, c in (_words(random, 3) for _ in range(25)))
    return f"<!DOCTYPE html>\n<html><head><title>{body[12:16]}</title></head><body>\n{body}</body></html>".encode()


def _c(random: np.random.Generator) -> bytes:
    lines = ["#include <stdio.h>", "#include <stdlib.h>", ""]
    for first, second, third in (_words(random, 3) for _ in range(20)):
        lines += [f"static int {first}_{second}(const char *{third}, size_t n) {{", f"    int {second} = 0;"]
        lines += [f"    for (size_t i = 0; i < n; i++) {second} += {third}[i];", f"    return {second};", "}", ""]
    return "\n".join(lines).encode()


def _csv(random: np.random.Generator) -> bytes:
    rows = [",".join(str(value) for value in random.integers(0, 10000, 6)) for _ in range(60)]
    return "\n".join([",".join(_words(random, 6)), *rows]).encode()


def _png(random: np.random.Generator) -> bytes:
    packed = io.BytesIO()
    pixels = (random.normal(128, 30, (48, 48, 3)).cumsum(axis=0) / 24).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(packed, "PNG")
    return packed.getvalue()


KINDS = {"python": _python, "json": _json, "html": _html, "c": _c, "csv": _csv, "png": _png}


def arabic(random: np.random.Generator, samples: int, length: int) -> NDArray[np.int64]:
    """Sentences as ids of letters: words of two to seven, blanks between them, padded with zeros at the end."""
    rows = np.zeros((samples, length), np.int64)
    for row in rows:
        end, place = int(random.integers(length // 2, length)), 0
        while place < end:
            size = int(random.integers(2, 8))
            word = random.integers(2, LETTERS, size)
            row[place : place + size] = word[: length - place]
            place += size
            row[place : place + 1] = 1
            place += 1
    return rows
