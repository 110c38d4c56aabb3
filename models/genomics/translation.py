"""The standard genetic code (NCBI translation table 1)."""

from __future__ import annotations

from itertools import product

_RESIDUES = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
CODE = dict(zip(map("".join, product("TCAG", repeat=3)), _RESIDUES, strict=True))
"""Residue in one-letter code by codon, * for a stop."""


def translate(bases: str) -> str:
    """Residues up to the first stop, which is included; X for a codon with an unknown base."""
    residues = "".join(
        CODE.get(bases[n : n + 3], "X") for n in range(0, len(bases) - len(bases) % 3, 3)
    )
    end = residues.find("*")
    return residues if end < 0 else residues[: end + 1]
