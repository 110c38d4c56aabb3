"""A store's database: opened, brought to the present tables, and used in whole transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, inspect, text
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlcipher3 import dbapi2 as sqlite  # a newer SQLite than the interpreter's, see pyproject.toml

from data.errors import StoreError
from data.store.schema import HEAD, Row

MIGRATIONS = Path(__file__).parent / "migrations"
WAIT_SECONDS = 60
"""For another writer."""
LOCK = 0x617661746172
"""PostgreSQL's advisory lock of who migrates: 'avatar'."""


class Database:
    """An engine whose transactions are whole: readers see one state, writers wait for each other.

    Args:
        url: of SQLAlchemy; ``sqlite:///FILE`` or ``postgresql+psycopg://...``.

    Raises:
        StoreError: it cannot be reached, or a newer version made it.
    """

    def __init__(self, url: str | URL) -> None:
        self.where = "--database"
        try:
            told = make_url(url)
            is_file = told.get_backend_name() == "sqlite"
            self.where = str(told.database) if is_file else told.render_as_string()
            self.engine = create_engine(told, module=sqlite) if is_file else create_engine(told)
        except (SQLAlchemyError, ImportError, ValueError) as error:
            raise StoreError(
                f"{self.where}: is no database that can be used ({error}); give "
                "postgresql+psycopg://USER@HOST/NAME, and install cancer-avatars[postgresql]"
            ) from error
        if self.is_file:
            event.listen(self.engine, "connect", _set_up)
            event.listen(self.engine, "begin", _begin)
        self._writing = self.engine.execution_options(writes=True)

    @property
    def is_file(self) -> bool:
        """Whether it is SQLite, of this machine."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that sees one state of all tables."""
        level = {} if self.is_file else {"isolation_level": "REPEATABLE READ"}
        with self._session(self.engine.execution_options(**level)) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that is kept whole, or not at all."""
        with self._session(self._writing) as session:
            yield session

    @contextmanager
    def _session(self, engine: Engine) -> Iterator[Session]:
        """The database's own errors become a sentence."""
        try:
            with Session(engine) as session, session.begin():
                yield session
        except SQLAlchemyError as error:
            raise StoreError(self._sentence(error)) from error

    def _sentence(self, error: SQLAlchemyError) -> str:
        reason = str(getattr(error, "orig", None) or type(error).__name__).strip()
        if "full" in reason:
            return f"{self.where}: the disk is full; make room and run the same command again, nothing is lost"
        if "readonly" in reason or "read-only" in reason:
            return f"{self.where}: cannot be written ({reason}); ask for the right to, or choose another"
        return (
            f"{self.where}: the store's database cannot be used ({reason}); 'avatar store check' tells what is "
            "damaged, 'avatar store restore' brings a backup back"
        )

    def keep(self, session: Session, row: Row) -> None:
        """Write a row in place of one with the same key: in one statement, since another may write it too."""
        table = cast(Table, type(row).__table__)
        values = {
            attribute.columns[0].name: getattr(row, attribute.key)
            for attribute in inspect(type(row)).column_attrs
        }
        insert = sqlite_insert(table) if self.is_file else postgresql_insert(table)
        key = [column.name for column in table.primary_key]
        others = {name: insert.excluded[name] for name in values if name not in key}
        session.execute(
            insert.values(values).on_conflict_do_update(index_elements=key, set_=others)
        )

    def migrate(self) -> None:
        """Make or bring forward the tables; of several that try at once, one does.

        Raises:
            StoreError: a newer version made them, or they cannot be written.
        """
        try:
            with self.engine.connect() as connection:
                if _revision(connection) == HEAD:
                    return
            with self._writing.begin() as connection:
                if not self.is_file:
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
                _upgrade(connection)
        except CommandError as error:
            raise StoreError(
                f"{self.where}: was written by a newer version of cancer-avatars; use that one"
            ) from error
        except SQLAlchemyError as error:
            raise StoreError(self._sentence(error)) from error

    def close(self) -> None:
        """Release all connections."""
        self.engine.dispose()


def _revision(connection: Connection) -> str | None:
    tables = inspect(connection).get_table_names()
    if "alembic_version" not in tables:
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _upgrade(connection: Connection) -> None:
    if _revision(connection) == HEAD:  # another process was faster
        return
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _set_up(connection: sqlite.Connection, _: object) -> None:
    connection.isolation_level = None  # transactions begin where SQLAlchemy says so
    connection.text_factory = _text
    for words in (
        f"busy_timeout={1000 * WAIT_SECONDS}",
        "journal_mode=WAL",
        "synchronous=FULL",  # what was acknowledged outlives a power cut
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {words}")


def _text(content: bytes) -> str:
    """Bytes that are no text are found by the row's digest, like any other change."""
    return content.decode(errors="replace")


def _begin(connection: Connection) -> None:
    """A writer takes the lock at once: one that had read first would be refused instead of waiting."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
