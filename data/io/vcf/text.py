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
SEMICOLON, COMMA, BAR, EQUALS = (np.uint8(ord(c)) for c in ";,|=")


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


class Info:
    """The values of some keys of an INFO column, found in one pass.

    Args:
        texts: INFO of each record.
        keys: of the values that are wanted.
    """

    def __init__(self, texts: pa.StringArray, keys: Sequence[str]) -> None:
        self.data, offsets = bytes_and_offsets(texts)
        joined = np.frombuffer("".join(keys).encode(), np.uint8)
        ends = np.cumsum([0, *(len(key.encode()) for key in keys)])
        self.starts, self.ends = _find_keys(self.data, offsets, joined, ends)
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
    return rows, first, last


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
    first = np.zeros((width, total), np.int64)
    last = np.zeros((width, total), np.int64)
    known, entry = len(column), 0
    for row in range(len(starts)):
        place, stop = starts[row], ends[row]
        if stop <= place:
            continue
        rows[entry] = row
        field, begin = 0, place
        while True:
            while place < stop and data[place] != BAR and data[place] != COMMA:
                place += 1
            if field < known and column[field] >= 0:
                first[column[field], entry], last[column[field], entry] = begin, place
            field += 1
            begin = place + 1
            if place >= stop or data[place] == COMMA:
                entry += 1
                field = 0
                if place >= stop:
                    break
                rows[entry] = row
            place += 1
    return rows[:entry], first[:, :entry], last[:, :entry]


@_njit
def _gather(data: Bytes, starts: Places, ends: Places) -> Any:
    offsets = np.empty(len(starts) + 1, np.int32)
    offsets[0] = 0
    for row in range(len(starts)):
        offsets[row + 1] = offsets[row] + max(0, ends[row] - starts[row])
    out = np.empty(offsets[-1], np.uint8)
    for row in range(len(starts)):
        for n in range(offsets[row + 1] - offsets[row]):
            out[offsets[row] + n] = data[starts[row] + n]
    return offsets, out
