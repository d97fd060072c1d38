"""JSON, read piece by piece: memory holds one text at a time, however long the file is and whatever it holds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import IO, Any, Final, NamedTuple

MOST_DEEP: Final = 16
MOST_TEXT: Final = 2**31
"""Bytes of one text; an array of 1.5 GB in base64."""
MOST_NAME: Final = 4096
MOST_NUMBER: Final = 64
"""Bytes of a number or of a word such as null."""
_BLOCK: Final = 1 << 20
_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_END_OF_TEXT: Final = re.compile(rb'["\\]')
_PLAIN: Final = re.compile(rb"[-+.0-9a-zA-Z]*")

Path = tuple[int | str, ...]


class Event(NamedTuple):
    """A number, a text or a word, or the end of a list or table."""

    path: Path
    """Names and places on the way to it."""
    value: Any = None
    """Of a text, its UTF-8 bytes."""
    end: bool = False
    """Whether a list or table ends here."""


def events(stream: IO[bytes]) -> Iterator[Event]:
    """Everything in a JSON document, in its order.

    Raises:
        EOFError: it is cut off.
        ValueError: it is no JSON, or nested too deeply, or holds a text or a number that is too long.
    """
    scanner = _Scanner(stream)
    yield from scanner.value(())
    if scanner.peek() != b"":
        raise ValueError("something stands behind the end of the JSON document")


class _Scanner:
    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._buffer, self._at = stream, b"", 0

    def _more(self) -> bool:
        block = self._stream.read(_BLOCK)
        self._buffer, self._at = self._buffer[self._at :] + block, 0
        return bool(block)

    def peek(self) -> bytes:
        """The next byte that is no space; empty at the end."""
        while True:
            found = _SPACE.match(self._buffer, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._buffer):
                return self._buffer[self._at : self._at + 1]
            if not self._more():
                return b""

    def _next(self, wanted: bytes) -> bytes:
        byte = self.peek()
        if not byte:
            raise EOFError("it ends in the middle of the JSON document")
        if byte not in wanted:
            raise ValueError(f"{byte!r} stands where one of {wanted!r} should")
        self._at += 1
        return byte

    def value(self, path: Path) -> Iterator[Event]:
        if len(path) > MOST_DEEP:
            raise ValueError(f"it is nested more than {MOST_DEEP} deep")
        match self.peek():
            case b"{" | b"[" as opened:
                yield from self._members(path, opened)
                yield Event(path, end=True)
            case b'"':
                self._at += 1
                yield Event(path, self._text(MOST_TEXT))
            case b"":
                raise EOFError("it ends in the middle of the JSON document")
            case _:
                yield Event(path, self._word())

    def _members(self, path: Path, opened: bytes) -> Iterator[Event]:
        self._at += 1
        closing, place = (b"}", 0) if opened == b"{" else (b"]", 0)
        if self.peek() == closing:
            self._at += 1
            return
        while True:
            key: int | str = place
            if opened == b"{":
                self._next(b'"')
                key = self._text(MOST_NAME).decode()
                self._next(b":")
            yield from self.value((*path, key))
            place += 1
            if self._next(b"," + closing) == closing:
                return

    def _text(self, most: int) -> bytes:
        parts, size, escaped = list[bytes](), 0, False
        while True:
            found = _END_OF_TEXT.search(self._buffer, self._at)
            stop = found.start() if found else len(self._buffer)
            parts.append(self._buffer[self._at : stop])
            size += stop - self._at
            self._at = stop
            if size > most:
                raise ValueError(f"it holds a text of more than {most} bytes")
            if found and found[0] == b'"':
                self._at += 1
                break
            # Behind a backslash stands one more byte; a piece that ends without either goes on in the next.
            while len(self._buffer) < self._at + (2 if found else 1):
                if not self._more():
                    raise EOFError("it ends in the middle of a text")
            if found:
                parts.append(self._buffer[self._at : self._at + 2])
                self._at += 2
                escaped = True
        whole = b"".join(parts)
        return json.loads(b'"' + whole + b'"').encode("utf-8", "replace") if escaped else whole

    def _word(self) -> Any:
        word = b""
        while True:
            found = _PLAIN.match(self._buffer, self._at)
            stop = found.end() if found else self._at
            word += self._buffer[self._at : stop]
            self._at = stop
            if len(word) > MOST_NUMBER:
                raise ValueError(f"it holds a number of more than {MOST_NUMBER} characters")
            if stop < len(self._buffer) or not self._more():
                break
        return json.loads(word or self._buffer[self._at : self._at + 1])
