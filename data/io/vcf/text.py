"""Fields of delimited text found in place: kernels over the bytes of Arrow's string arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]
MOST_ENTRIES = 1_000_000
"""In a piece of 16 MiB: as short as no annotation is."""
MOST_VALUES = 64
"""Of a sample's field, as of a record's alternatives: none is known that has more."""
SEMICOLON, COMMA, BAR, EQUALS, COLON, DOT, ZERO = (np.uint8(ord(c)) for c in ";,|=:.0")
ONE = np.uint64(1)
"""Places without a sign spare the check for places counted from the end."""


def bytes_and_offsets(texts: pa.StringArray) -> tuple[Bytes, NDArray[np.int32]]:
    """The text of all rows in one piece, and where each row begins (one more than rows)."""
    _, offsets, data = texts.buffers()
    held = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    places = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return held, places


def taken(data: Bytes, starts: Places, ends: Places) -> pa.StringArray:
    """The text between each pair of places as an array; empty where it ends before it starts."""
    offsets, out = _gather(data, starts, ends)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(out)]
    return pa.StringArray.from_buffers(len(starts), *buffers[1:])


def numbers_of_words(
    data: Bytes, starts: Places, ends: Places, words: Sequence[str]
) -> NDArray[np.int64]:
    """Which of some words each text is; -1 where it is none of them."""
    joined = np.frombuffer("".join(words).encode(), np.uint8)
    return np.asarray(_numbers_of_words(data, starts, ends, joined, _bounds(words)))


def _bounds(words: Sequence[str]) -> NDArray[np.int64]:
    """Where each word starts among them joined, and where the last one ends."""
    return np.cumsum([0, *(len(word.encode()) for word in words)])


def fields(data: Bytes, offsets: NDArray[np.int32], count: int) -> tuple[Places, Places]:
    """(count, n) where the first fields between colons of each row start and end; both 0 for one left off."""
    starts, ends = _fields(data, offsets, count)
    return starts, ends


def whole_numbers(data: Bytes, starts: Places, ends: Places) -> NDArray[np.float64] | None:
    """(n, most values) of texts like ``12,3``, NaN for ``.`` and nothing; None where one is another text.

    Raises:
        ValueError: more values than :data:`MOST_VALUES`.
    """
    width = int(_most_values(data, starts, ends))
    if width > MOST_VALUES:
        raise ValueError(
            f"a sample's field has {width} values, and there is room for {MOST_VALUES}"
        )
    out = np.full((len(starts), width), np.nan)
    return out if _whole_numbers(data, starts, ends, out) else None


class Info:
    """The values of some keys of an INFO column, found in one pass.

    Args:
        texts: INFO of each record.
        keys: of the values that are wanted.
    """

    def __init__(self, texts: pa.StringArray, keys: Sequence[str]) -> None:
        self.data, offsets = bytes_and_offsets(texts)
        joined = np.frombuffer("".join(keys).encode(), np.uint8)
        self.starts, self.ends = _find_keys(self.data, offsets, joined, _bounds(keys))
        self.numbers = {key: n for n, key in enumerate(keys)}

    def places(self, key: str) -> tuple[Places, Places]:
        """Where a key's values start and end; equal where a flag is set, end first where it is not."""
        return self.starts[self.numbers[key]], self.ends[self.numbers[key]]

    def texts(self, key: str) -> pa.StringArray:
        """The values of a key, empty where it is a flag or is not there."""
        return taken(self.data, *self.places(key))

    def has(self, key: str) -> NDArray[np.bool_]:
        """Where a key is, with or without a value."""
        starts, ends = self.places(key)
        return np.asarray(ends >= starts)


def entries(
    data: Bytes, starts: Places, ends: Places, wanted: Sequence[int]
) -> tuple[NDArray[np.int32], Places, Places]:
    """Fields ``wanted`` (numbers, or -1), parted by ``|``, of entries parted by commas.

    Returns:
        The row of each entry; and where each of its wanted fields starts and ends, (fields, entries).
    """
    column = np.full(max(wanted, default=-1) + 1, -1, np.int64)
    for place, number in enumerate(wanted):
        if number >= 0:
            column[number] = place
    most = len(starts) + int(np.count_nonzero(data == COMMA))
    if most > MOST_ENTRIES:
        raise ValueError(f"{most} annotations in a piece, and there is room for {MOST_ENTRIES}")
    rows, first, last = _entries(data, starts, ends, column, len(wanted), most)
    return rows, first.T, last.T


def _njit(function: Any) -> Any:
    return njit(cache=True, nogil=True)(function)


@_njit
def _find_keys(data: Bytes, offsets: Any, keys: Bytes, key_ends: Any) -> Any:
    count, rows = len(key_ends) - 1, len(offsets) - 1
    starts = np.zeros((count, rows), np.int64)
    ends = np.full((count, rows), -1, np.int64)
    for row in range(rows):
        place, stop = np.int64(offsets[row]), np.int64(offsets[row + 1])
        while place < stop:
            found, value = -1, place
            for key in range(count):
                length = key_ends[key + 1] - key_ends[key]
                after = place + length
                if after > stop:
                    continue
                if after < stop and data[after] != EQUALS and data[after] != SEMICOLON:
                    continue
                same = True
                for n in range(length):
                    if data[place + n] != keys[key_ends[key] + n]:
                        same = False
                        break
                if same:
                    found = key
                    value = after + 1 if after < stop and data[after] == EQUALS else after
                    break
            place = value
            while place < stop and data[place] != SEMICOLON:
                place += 1
            if found >= 0:
                starts[found, row], ends[found, row] = value, place
            place += 1
    return starts, ends


@_njit
def _entries(data: Bytes, starts: Places, ends: Places, column: Any, width: int, total: int) -> Any:
    rows = np.empty(total, np.int32)
    first = np.empty(
        (total, width), np.int32
    )  # an entry's places beside each other, as they are written
    last = np.empty((total, width), np.int32)
    known, entry = len(column), 0
    for row in range(len(starts)):
        if ends[row] <= starts[row]:
            continue
        place, stop = np.uint64(starts[row]), np.uint64(ends[row])
        ended = False
        while not ended:
            rows[entry] = row
            first[entry, :] = 0
            last[entry, :] = 0
            field, begin = 0, place
            while True:
                while place < stop and data[place] != BAR and data[place] != COMMA:
                    place += ONE
                if field < known and column[field] >= 0:
                    first[entry, column[field]], last[entry, column[field]] = begin, place
                field += 1
                ended = bool(place >= stop)
                comma = not ended and data[place] == COMMA
                place += ONE
                begin = place
                if ended or comma:
                    break
            entry += 1
    return rows[:entry], first[:entry], last[:entry]


@_njit
def _fields(data: Bytes, offsets: Any, count: int) -> Any:
    starts = np.zeros((count, len(offsets) - 1), np.int64)
    ends = np.zeros((count, len(offsets) - 1), np.int64)
    for row in range(len(offsets) - 1):
        place, stop = np.uint64(offsets[row]), np.uint64(offsets[row + 1])
        for field in range(count):
            if place > stop:
                break
            starts[field, row] = place
            while place < stop and data[place] != COLON:
                place += ONE
            ends[field, row] = place
            place += ONE
    return starts, ends


@_njit
def _most_values(data: Bytes, starts: Places, ends: Places) -> int:
    most = 1
    for row in range(len(starts)):
        commas = 0
        for place in range(starts[row], ends[row]):
            commas += data[place] == COMMA
        most = max(most, commas + 1)
    return most


@_njit
def _whole_numbers(data: Bytes, starts: Places, ends: Places, out: Any) -> bool:
    """Fill ``out``; whether every value is a whole number or missing."""
    for row in range(len(starts)):
        value, digits, column = 0.0, 0, 0
        for place in range(starts[row], ends[row] + 1):
            sign = data[place] if place < ends[row] else COMMA
            if sign == COMMA:
                if digits > 0:
                    out[row, column] = value
                value, digits, column = 0.0, 0, column + 1
            elif ZERO <= sign <= ZERO + 9:
                value, digits = 10.0 * value + (sign - ZERO), digits + 1
            elif sign != DOT or digits > 0 or (place + 1 < ends[row] and data[place + 1] != COMMA):
                return False
    return True


@_njit
def _gather(data: Bytes, starts: Places, ends: Places) -> Any:
    offsets = np.empty(len(starts) + 1, np.int32)
    offsets[0] = 0
    for row in range(len(starts)):
        offsets[row + 1] = offsets[row] + max(0, ends[row] - starts[row])
    out = np.empty(offsets[-1], np.uint8)
    to = np.uint64(0)
    for row in range(len(starts)):
        if ends[row] > starts[row]:
            for place in range(np.uint64(starts[row]), np.uint64(ends[row])):
                out[to] = data[place]
                to += ONE
    return offsets, out


@_njit
def _numbers_of_words(
    data: Bytes, starts: Places, ends: Places, words: Bytes, word_ends: Any
) -> Any:
    out = np.full(len(starts), -1, np.int64)
    for row in range(len(starts)):
        length = ends[row] - starts[row]
        for word in range(len(word_ends) - 1):
            if word_ends[word + 1] - word_ends[word] != length:
                continue
            same, at = True, np.uint64(word_ends[word])
            for place in range(np.uint64(starts[row]), np.uint64(ends[row])):
                if data[place] != words[at]:
                    same = False
                    break
                at += ONE
            if same:
                out[row] = word
                break
    return out
