"""The same store on a real PostgreSQL: migrations, many writers, backups from and to SQLite."""

from __future__ import annotations

import uuid
from multiprocessing import get_context

import numpy as np
import psycopg
import pytest
from avatars import put_avatar, scan_of
from postgresql import served
from typer.testing import CliRunner

from app.cli import app
from data.errors import ConflictError, StoreError
from data.imaging import Volume
from data.review import ReviewEntry
from data.store import AvatarStore
from data.store.backup import back_up, restore
from data.store.check import check_store

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("postgresql")]
IMAGE = Volume(np.arange(64, dtype=np.int16).reshape(4, 4, 4), np.eye(4))
MASK = IMAGE.with_array((IMAGE.array > 40).astype(np.uint8))
ENTRY = ReviewEntry(number=1, at="2026-01-01T00:00:00Z", by="Dr. Ada", act="sign", version=0)


@pytest.fixture(scope="module")
def server():
    with served() as url:
        yield url


@pytest.fixture
def url(server):
    """A database of the test's own."""
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(server.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return server.rsplit("/", 1)[0] + f"/{name}"


def fill(store):
    for name in ("P1", "P2"):
        put_avatar(store, name, scan_of(store, IMAGE, MASK))
    store.put_step("a" * 64, "scan", '{"note": "µm"}')
    store.append_review("P1", 0.0, ENTRY)


def test_a_store_names_its_database_and_is_the_same_as_on_sqlite(url, tmp_path):
    with (
        AvatarStore(tmp_path / "files") as plain,
        AvatarStore(tmp_path / "shared", url=url) as store,
    ):
        fill(plain)
        fill(store)
        assert store.digests() == plain.digests()
        assert store.step("a" * 64) == plain.step("a" * 64)
        assert not (tmp_path / "shared" / "avatars.sqlite").exists()
    with AvatarStore(tmp_path / "shared", must_exist=True) as again:  # by its store.yaml
        assert again.get("P1") == AvatarStore(tmp_path / "files").get("P1")
        assert check_store(again).findings == ()
        with pytest.raises(ConflictError, match="somebody else has written"):
            again.append_review("P1", 0.0, ENTRY)
    shown = CliRunner().invoke(app, ["show", "P1", "--store", str(tmp_path / "shared")])
    assert shown.exit_code == 0, shown.output


def test_backups_go_from_one_kind_of_database_to_the_other(url, tmp_path):
    with AvatarStore(tmp_path / "files") as plain:
        fill(plain)
        before = plain.digests()
        back_up(plain, tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "shared", url=url)
    with pytest.raises(
        StoreError, match="has a store in it already; restore into an empty database"
    ):
        restore(tmp_path / "copy", tmp_path / "another", url=url)
    with AvatarStore(tmp_path / "shared", must_exist=True) as store:
        assert store.digests() == before
        assert store.review("P1", 0.0).entries == (ENTRY,)
        back_up(store, tmp_path / "second")
    with AvatarStore(tmp_path / "second") as copy:
        assert copy.digests() == before


def test_an_edited_row_is_found_and_a_review_needs_its_avatar(url, tmp_path):
    with AvatarStore(tmp_path, url=url) as store:
        fill(store)
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("UPDATE avatars SET document = '{}' WHERE patient_id = 'P2'")
            with pytest.raises(psycopg.errors.ForeignKeyViolation):
                connection.execute("DELETE FROM avatars WHERE patient_id = 'P1'")
        (found,) = (f for f in check_store(store).findings if f.kind != "orphan")
        assert (found.kind, found.what) == ("edited row", "avatar of P2")


def write_many(folder, url, worker, count):
    with AvatarStore(folder, url=url) as store:
        for n in range(count):
            image = IMAGE.with_array(IMAGE.array + n)
            scan = scan_of(store, image, MASK)
            put_avatar(store, f"W{worker}-{n}", scan)
            put_avatar(store, "shared", scan)
            store.put_step(f"{n:064x}", "scan", "{}")
            try:
                number = len(store.review("shared", 0.0).entries) + 1
                entry = ENTRY.model_copy(update={"number": number, "by": f"Dr. W{worker}"})
                store.append_review("shared", 0.0, entry)
            except ConflictError:  # another one was faster, and this one knows
                continue


def test_four_writers_that_also_make_the_store_lose_nothing(url, tmp_path):
    context = get_context("fork")
    writers = [context.Process(target=write_many, args=(tmp_path, url, n, 12)) for n in range(4)]
    for process in writers:
        process.start()
    for process in writers:
        process.join(120)
    assert [process.exitcode for process in writers] == [0] * 4
    with AvatarStore(tmp_path) as store:
        assert len(store.patients()) == 4 * 12 + 1
        assert len({store.digests()[f"W{w}-3"] for w in range(4)}) == 4
        assert check_store(store).findings == ()
        numbers = [entry.number for entry in store.review("shared", 0.0).entries]
        assert numbers == list(range(1, len(numbers) + 1))


def test_a_server_that_is_not_there_says_so(tmp_path):
    with pytest.raises(
        StoreError, match=r"127\.0\.0\.1:1/none: the store's database cannot be used"
    ):
        AvatarStore(tmp_path, url="postgresql+psycopg://board@127.0.0.1:1/none")
    assert not (tmp_path / "store.yaml").exists()
