"""What is known of alterations: shipped tables, and knowledge bases that were imported into a store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from data.errors import KnowledgeError
from data.evidence import KnowledgeSource, Statement
from data.files import replace_atomically
from data.io.civic import CivicImport, read_civic
from data.io.oncoref import DriverList, read_oncoref
from data.io.structured import read_model
from data.provenance import digest_of
from data.store import AvatarStore
from models.genomics.diseases import DiseaseGraph
from models.genomics.genes import GeneTable
from models.genomics.oncogenicity import Judge, Recurrence
from models.genomics.tiers import Interpreter, known_active
from pipelines.config import CONFIGS
from pipelines.recurrence import read_recurrence

SHIPPED = CONFIGS / "knowledge"
FOLDER = "knowledge"
"""In a store: one file for each imported source."""
DRIVERS = Path(FOLDER, "drivers", "oncoref.json")
_STATEMENTS = TypeAdapter(tuple[Statement, ...])


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Approval(_Part):
    """One indication, as a label restricts it."""

    disease: str
    alterations: tuple[str, ...] = Field(min_length=1, description="each begins with its gene")
    therapies: tuple[str, ...] = Field(min_length=1)
    approved: dict[str, date] = Field(min_length=1)
    setting: str = ""
    germline: bool = False


class ApprovalTable(_Part):
    """Approvals, and when they were last looked through."""

    as_of: str
    source: str
    approvals: tuple[Approval, ...]

    @property
    def statements(self) -> tuple[Statement, ...]:
        """One for each alteration of each approval."""
        return tuple(
            Statement(
                gene=gene, alteration=alteration, disease=a.disease, effect="sensitivity",
                therapies=a.therapies, level="approval", needs_germline=a.germline, setting=a.setting,
                approved=a.approved, source="approvals", reference="label of " + ", ".join(a.therapies),
                as_of=self.as_of,
            )
            for a in self.approvals
            for gene, alteration in (_parted(named) for named in a.alterations)
        )  # fmt: skip


def _parted(named: str) -> tuple[str, str]:
    gene, _, alteration = named.partition(" ")
    return (gene, "signature") if alteration == "signature" else (gene, alteration)


@cache
def gene_table() -> GeneTable:
    """The shipped genes."""
    return read_model(SHIPPED / "genes.yaml", GeneTable, KnowledgeError)


@cache
def disease_graph() -> DiseaseGraph:
    """The shipped diseases."""
    return read_model(SHIPPED / "diseases.yaml", DiseaseGraph, KnowledgeError)


@cache
def approval_table() -> ApprovalTable:
    """The shipped approvals."""
    return read_model(SHIPPED / "approvals.yaml", ApprovalTable, KnowledgeError)


@cache
def recurrence() -> Recurrence:
    """The shipped table of recurrence."""
    return read_recurrence(SHIPPED / "recurrence.csv")


@dataclass(frozen=True)
class Knowledge:
    """An interpreter, and of what it is made."""

    interpreter: Interpreter
    sources: tuple[KnowledgeSource, ...]


def import_civic(path: Path, store: AvatarStore, as_of: str | None = None) -> CivicImport:
    """Read CIViC's clinical evidence and keep it in a store, in place of an earlier import.

    Raises:
        KnowledgeError: the file cannot be used, or the store cannot be written.
    """
    found = read_civic(path, as_of)
    if not found.statements:
        raise KnowledgeError(f"{path}: has no statement that can be used; is it the whole file?")
    target = store.folder / FOLDER / "civic.json"
    try:
        replace_atomically(target, _STATEMENTS.dump_json(found.statements))
    except OSError as error:
        raise KnowledgeError(f"{target}: cannot be written ({error.strerror})") from error
    return found


def import_oncoref(path: Path, store: AvatarStore, as_of: str | None = None) -> DriverList:
    """Read oncoref's driver mutations and keep them in a store, in place of an earlier import.

    Raises:
        KnowledgeError: the file cannot be used, or the store cannot be written.
    """
    found = read_oncoref(path, as_of)
    target = store.folder / DRIVERS
    try:
        replace_atomically(target, found.model_dump_json().encode())
    except OSError as error:
        raise KnowledgeError(f"{target}: cannot be written ({error.strerror})") from error
    return found


def drivers_of(store: AvatarStore) -> DriverList | None:
    """What was imported; None where nothing was.

    Raises:
        KnowledgeError: the file is damaged.
    """
    path = store.folder / DRIVERS
    if not path.is_file():
        return None
    try:
        return DriverList.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise KnowledgeError(f"{path}: is damaged; import the source again") from error


def imported(store: AvatarStore) -> dict[str, tuple[Statement, ...]]:
    """Statements of every imported source, by its name.

    Raises:
        KnowledgeError: a file is damaged.
    """
    found = {}
    for path in sorted((store.folder / FOLDER).glob("*.json")):
        try:
            found[path.stem] = _STATEMENTS.validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise KnowledgeError(f"{path}: is damaged; import the source again") from error
    return found


def knowledge_of(store: AvatarStore | None) -> Knowledge:
    """The shipped tables, with what was imported into a store."""
    approved = approval_table().statements
    others = {} if store is None else imported(store)
    drivers = None if store is None else drivers_of(store)
    return knowledge_from({"approvals": approved, **others}, drivers)


def knowledge_from(
    named: dict[str, tuple[Statement, ...]], drivers: DriverList | None = None
) -> Knowledge:
    """An interpreter of given statements by source, and of protein changes that are named drivers."""
    statements = [s for group in named.values() for s in group]
    genes = gene_table()
    by_change = {} if drivers is None else _by_change(drivers, genes)
    judge = Judge(genes, recurrence(), known_active(statements, genes), by_change)
    interpreter = Interpreter(statements, genes, disease_graph(), judge)
    sources = [_source(name, group, interpreter) for name, group in named.items()]
    if drivers is not None:
        sources.append(
            KnowledgeSource(
                name=drivers.name,
                as_of=drivers.as_of,
                statements=len(drivers.changes),
                not_understood=len(drivers.changes) - len(by_change),
                sha256=digest_of(drivers.changes),
            )
        )
    return Knowledge(interpreter, tuple(sources))


def _by_change(drivers: DriverList, genes: GeneTable) -> dict[tuple[str, str], str]:
    """Who names a change a driver, of genes of the panel."""
    told = f"{drivers.name}: {drivers.cited}"
    return {
        (genes.current(gene), change): told
        for gene, change in drivers.changes
        if genes.find(gene) is not None
    }


def _source(
    name: str, statements: Sequence[Statement], interpreter: Interpreter
) -> KnowledgeSource:
    own = {s.source for s in statements}
    return KnowledgeSource(
        name=name,
        as_of=max((s.as_of for s in statements), default="unknown"),
        statements=len(statements),
        not_understood=sum(s.source in own for s in interpreter.unread),
        sha256=digest_of([s.model_dump(mode="json") for s in statements]),
    )
