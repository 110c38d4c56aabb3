"""A panel for variants that nobody annotated: transcripts of chosen genes out of a GTF and a reference."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from data.errors import KnowledgeError
from data.genomics import Build
from data.io.gtf import Model, read_gtf
from data.io.panel import read_panel
from data.io.reference import Reference
from data.store import AvatarStore
from data.transcripts import FLANK, UPSTREAM, Panel, Transcript
from models.genomics.hotspots import BUILDS
from pipelines.knowledge import FOLDER

PREFERRED = (
    ("MANE_Select", "MANE Select"),
    ("MANE Select", "MANE Select"),
    ("Ensembl_canonical", "Ensembl canonical"),
    ("RefSeq Select", "RefSeq Select"),
    ("appris_principal_1", "APPRIS principal"),
    ("appris_principal", "APPRIS principal"),
    ("CCDS", "longest of CCDS"),
)
"""Tags of a GTF, the best first, and how the choice is told."""


@dataclass(frozen=True)
class PanelBuild:
    """A panel, and what is not in it.

    Args:
        missing: symbols that the annotation has not.
        left_out: genes none of whose transcripts can be translated, with the reason.
    """

    panel: Panel
    missing: tuple[str, ...]
    left_out: dict[str, str]


def build_panel(
    gtf: Path, fasta: Path, genes: Iterable[str], current: Callable[[str], str] = str
) -> PanelBuild:
    """One transcript for each gene, MANE Select where the annotation marks it.

    Args:
        gtf: of GENCODE, Ensembl or RefSeq.
        fasta: the reference that it is of, plain or bgzipped, with chromosomes named alike or without ``chr``.
        genes: symbols.
        current: the symbol in use for what may be an earlier one.

    Raises:
        KnowledgeError: the annotation cannot be used, is of another build, or has none of the genes.
        VariantError: the reference cannot be used.
    """
    wanted = frozenset(map(current, genes))
    annotation = read_gtf(gtf, lambda symbol: current(symbol) in wanted)
    with Reference(fasta) as reference:
        build = reference.build
        if annotation.build not in (None, build):
            raise KnowledgeError(
                f"{gtf}: is of {annotation.build}, but {fasta} is {build} by the lengths of its chromosomes; "
                "give both of one build"
            )
        models = defaultdict(list)
        for model in annotation.models:
            models[current(model.gene)].append(model)
        transcripts, left_out = [], {}
        for symbol in sorted(models):
            made = _best(symbol, models[symbol], reference)
            if isinstance(made, str):
                left_out[symbol] = made
            else:
                transcripts.append(made)
    if not transcripts:
        raise KnowledgeError(f"{gtf}: has no coding transcript of the genes that are asked for")
    as_of = annotation.as_of or f"read {datetime.now(UTC).date()}"
    panel = Panel(build, gtf.name, as_of, tuple(transcripts))
    return PanelBuild(panel, tuple(sorted(wanted - set(models))), left_out)


def symbols_of(path: Path) -> tuple[str, ...]:
    """Symbols of a list, one a line; what follows ``#`` is a comment.

    Raises:
        KnowledgeError: no such list, or an empty one.
    """
    try:
        lines = [
            line.split("#")[0].strip() for line in path.read_text(encoding="utf-8-sig").splitlines()
        ]
    except (OSError, UnicodeDecodeError) as error:
        raise KnowledgeError(
            f"{path}: cannot be read; give a text with one gene symbol a line"
        ) from error
    found = tuple(line for line in lines if line)
    if not found or any(len(line.split()) > 1 for line in found):
        raise KnowledgeError(f"{path}: is no list of gene symbols, one a line")
    return found


def panel_path(store: AvatarStore, build: Build) -> Path:
    """Where a store keeps the panel of a build, or would."""
    return store.folder / FOLDER / f"panel-{build}.parquet"


def panels_of(store: AvatarStore) -> tuple[Panel, ...]:
    """All panels of a store.

    Raises:
        KnowledgeError: one is damaged.
    """
    found = (panel_of(store, build) for build in BUILDS)
    return tuple(panel for panel in found if panel is not None)


def panel_of(store: AvatarStore, build: Build | None) -> Panel | None:
    """The panel of a build that was made for a store; None where there is none.

    Raises:
        KnowledgeError: the file is damaged.
    """
    if build is None or not panel_path(store, build).is_file():
        return None
    return read_panel(panel_path(store, build))


def _best(symbol: str, models: list[Model], reference: Reference) -> Transcript | str:
    """The first transcript, in the order of preference, that a protein can be read from."""
    reason = "no coding transcript"
    for chosen_as, model in _by_preference(models):
        if not reference.has(model.chromosome):
            return f"the reference has no chromosome {model.chromosome}"
        try:
            return _transcript(symbol, chosen_as, model, reference)
        except ValueError as error:
            reason = str(error)
    return reason


def _by_preference(models: list[Model]) -> Iterator[tuple[str, Model]]:
    coding = sorted(
        (m for m in models if m.coding),
        key=lambda m: (-sum(last - first + 1 for first, last in m.coding), m.name),
    )
    ranked = []
    for model in coding:
        place = next((n for n, (tag, _) in enumerate(PREFERRED) if tag in model.tags), None)
        told = "longest coding" if place is None else PREFERRED[place][1]
        ranked.append((len(PREFERRED) if place is None else place, told, model))
    ranked.sort(key=lambda one: one[0])  # stable: the longest first
    yield from ((told, model) for _, told, model in ranked)


def _transcript(symbol: str, chosen_as: str, model: Model, reference: Reference) -> Transcript:
    exons = tuple(sorted(model.exons))
    starts, bases = [], []
    for first, last in _kept(exons, model.strand):
        start = max(1, first)
        starts.append(start)
        bases.append(reference.bases(model.chromosome, start, last))
    coding = min(first for first, _ in model.coding), max(last for _, last in model.coding)
    return Transcript(
        symbol, model.name, chosen_as, model.chromosome, model.strand, exons, coding,
        tuple(starts), tuple(bases),
    )  # fmt: skip


def _kept(exons: tuple[tuple[int, int], ...], strand: int) -> list[tuple[int, int]]:
    """Exons with their flanks, joined where these meet."""
    stretches = [[first - FLANK, last + FLANK] for first, last in exons]
    if strand > 0:
        stretches[0][0] = exons[0][0] - UPSTREAM
    else:
        stretches[-1][1] = exons[-1][1] + UPSTREAM
    joined = stretches[:1]
    for first, last in stretches[1:]:
        if first <= joined[-1][1] + 1:
            joined[-1][1] = max(joined[-1][1], last)
        else:
            joined.append([first, last])
    return [(first, last) for first, last in joined]
