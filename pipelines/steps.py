"""Steps of a run: told to whoever watches, and done only where their result is not in the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from data.avatar import VolumeRef
from data.provenance import digest_of
from data.store import AvatarStore

RECIPE = 7
"""Raised when a step computes something else from the same input, so that old results are not reused."""


@dataclass(frozen=True)
class StepReport:
    """What a step did, for the person watching."""

    step: str
    used: str
    reused: bool


Watch = Callable[[StepReport], None]

STEPS = (
    "ingest", "head", "check", "scan", "tissue", "annotate", "survival", "calibrate", "simulate", "assemble"
)  # fmt: skip
"""Of a run, in their order."""

_BEGINS: ContextVar[Callable[[str], None]] = ContextVar("begins", default=lambda step: None)


@contextmanager
def told_what_begins(tell: Callable[[str], None]) -> Iterator[None]:
    """Within, ``tell`` is called with a step's name before it is done; not where its result is in the store.

    Who counts a step's time and memory has to know when it starts; a :data:`Watch` hears only of its end.
    """
    token = _BEGINS.set(tell)
    try:
        yield
    finally:
        _BEGINS.reset(token)


def begin(step: str) -> None:
    """Tell whoever counts that a step starts."""
    _BEGINS.get()(step)


class StepResult(BaseModel):
    """What a step leaves in the store."""

    model_config = ConfigDict(frozen=True)

    @property
    def volumes(self) -> tuple[VolumeRef, ...]:
        """Stored volumes that the result is worth nothing without."""
        return ()


Result = TypeVar("Result", bound=StepResult)


def remembered(
    store: AvatarStore,
    step: str,
    key: object,
    model: type[Result],
    make: Callable[[], Result],
    *,
    keep: Callable[[Result], bool] = lambda made: True,
) -> tuple[Result, bool]:
    """The stored result for this input, or a new one, kept where ``keep`` says so; and whether it was
    stored.
    """
    if (known := recalled(store, step, key, model)) is not None:
        return known, True
    begin(step)
    made = make()
    if keep(made):
        store.put_step(_digest(step, key), step, made.model_dump_json())
    return made, False


def recalled(store: AvatarStore, step: str, key: object, model: type[Result]) -> Result | None:
    """The stored result for this input; None where there is none that is whole and of this version."""
    known = store.step(_digest(step, key))
    if known is not None:
        with suppress(ValidationError):  # of another version: as if there were none
            result = model.model_validate_json(known)
            if all(store.has_volume(ref) for ref in result.volumes):
                return result
    return None


def _digest(step: str, key: object) -> str:
    return digest_of([RECIPE, step, key])
