"""Density pictures on their way to the browser: kept in memory, named by their content."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

KEPT = 24
_pictures: OrderedDict[str, bytes] = OrderedDict()


def offer(content: bytes) -> str:
    """Keep a file for the board's own pages and say under which name."""
    name = hashlib.sha256(content).hexdigest()
    _pictures[name] = content
    _pictures.move_to_end(name)
    while len(_pictures) > KEPT:
        _pictures.popitem(last=False)
    return name


def offered(name: str) -> bytes | None:
    """The file of this name, if it is still kept."""
    return _pictures.get(name)
