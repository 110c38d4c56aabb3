from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import time

import numpy as np
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from hypothesis import given, settings
from hypothesis import strategies as st

from data.avatar import Avatar
from data.clinical import ClinicalRecord, Markers
from data.errors import StoreError
from data.files import HOST
from data.imaging import Volume
from data.store import AvatarStore
from data.store.database import MIGRATIONS
from data.store.schema import HEAD, ReviewRow
from data.timeline import Event, Timeline


def avatar(patient="P1", **record):
    return Avatar(
        patient_id=patient,
        site="glioma",
        origin="in-silico",
        prior_class="glioma",
        record=ClinicalRecord(patient_id=patient, **record),
    )


def in_database(folder, statement, *values):
    database = sqlite3.connect(folder / "avatars.sqlite")
    with database:
        database.execute(statement, values)
    database.close()


states = st.sampled_from(["present", "absent", "untested"])


@settings(deadline=None)
@given(
    age=st.none() | st.floats(0, 120),
    kps=st.none() | st.integers(0, 100),
    markers=st.builds(Markers, idh_mutation=states, mgmt_methylation=states),
    days=st.lists(st.floats(-1e5, 1e5, allow_nan=False), max_size=4),
)
def test_avatar_json_is_lossless_and_stable(age, kps, markers, days):
    timeline = Timeline(events=tuple(Event(day=d, kind="drug", text="x") for d in days))
    before = avatar(age_years=age, kps=kps, markers=markers, timeline=timeline)
    text = before.to_json()
    assert Avatar.from_json(text) == before
    assert Avatar.from_json(text).to_json() == text


def test_a_stored_volume_comes_back_and_is_kept_once(tmp_path):
    volume = Volume(np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.diag([1, 2, 3, 1]), "1.2")
    with AvatarStore(tmp_path) as store:
        first, second = store.put_volume(volume), store.put_volume(volume)
        assert first == second
        assert store.volume(first) == volume
    assert len(list(tmp_path.glob("volumes/*/*"))) == 1


def test_a_changed_or_missing_volume_file_is_noticed(tmp_path):
    with AvatarStore(tmp_path) as store:
        ref = store.put_volume(Volume(np.zeros((2, 2, 2), np.int16), np.eye(4)))
        store.volume_path(ref.sha256).write_bytes(b"other")
        with pytest.raises(StoreError, match="changed after"):
            store.volume(ref)
        store.volume_path(ref.sha256).unlink()
        with pytest.raises(StoreError, match="missing"):
            store.volume(ref)


def test_a_newer_avatar_replaces_the_older_one(tmp_path):
    with AvatarStore(tmp_path) as store:
        store.put(avatar(kps=70))
        digest = store.put(avatar(kps=90))
        assert store.patients() == ("P1",)
        assert store.get("P1").record.kps == 90
        assert store.digests() == {"P1": digest}
        assert digest == hashlib.sha256(store.get("P1").to_json().encode()).hexdigest()


def test_an_unknown_patient_is_an_error_that_lists_the_known(tmp_path):
    with AvatarStore(tmp_path) as store:
        store.put(avatar("P7"))
        with pytest.raises(StoreError, match="it holds P7"):
            store.get("P1")


def test_an_avatar_of_another_version_says_so(tmp_path):
    other = '{"patient_id": "P1"}'
    with AvatarStore(tmp_path) as store:
        store.put(avatar())
        digest = hashlib.sha256(other.encode()).hexdigest()
        in_database(tmp_path, "UPDATE avatars SET document = ?, sha256 = ?", other, digest)
        with pytest.raises(StoreError, match="another version"):
            store.get("P1")


def test_an_edited_row_is_not_taken_for_what_was_stored(tmp_path):
    with AvatarStore(tmp_path) as store:
        store.put(avatar(kps=70))
        store.put_step("k" * 64, "scan", '{"x": 1}')
        in_database(tmp_path, "UPDATE avatars SET document = replace(document, '70', '90')")
        in_database(tmp_path, "UPDATE steps SET result = '{}'")
        with pytest.raises(StoreError, match="avatar of P1 was changed in the database"):
            store.get("P1")
        assert store.step("k" * 64) is None  # so that it is done again


def test_a_store_that_must_exist_says_how_to_make_one(tmp_path):
    with pytest.raises(StoreError, match="avatar run"):
        AvatarStore(tmp_path / "none", must_exist=True)


def test_leftovers_of_a_crash_are_collected_and_files_in_the_making_are_not(tmp_path):
    folder = tmp_path / "volumes" / "ab"
    folder.mkdir(parents=True)
    ended = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True, check=True)
    names = {
        f".tmp-{HOST}-{ended.stdout.strip()}-a": False,  # its writer is gone
        f".tmp-{HOST}-{os.getpid()}-a": True,
        ".tmp-otherhost-1-a": True,  # perhaps at it, on another machine
        ".tmp-otherhost-2-old": False,
    }
    for name in names:
        (folder / name).write_bytes(b"half")
    os.utime(folder / ".tmp-otherhost-2-old", (time.time() - 7200,) * 2)
    with AvatarStore(tmp_path):
        assert {name: (folder / name).exists() for name in names} == names


def test_new_files_have_the_rights_that_others_need_in_a_shared_folder(tmp_path):
    before = os.umask(0o002)
    try:
        with AvatarStore(tmp_path) as store:
            ref = store.put_volume(Volume(np.zeros((2, 2, 2), np.int16), np.eye(4)))
    finally:
        os.umask(before)
    assert store.volume_path(ref.sha256).stat().st_mode & 0o777 == 0o664


OLD_TABLES = """
CREATE TABLE avatars (patient_id VARCHAR(64) NOT NULL, document TEXT NOT NULL, PRIMARY KEY (patient_id));
CREATE TABLE steps (key VARCHAR(64) NOT NULL, step VARCHAR(64) NOT NULL, result TEXT NOT NULL,
  PRIMARY KEY (key));
CREATE TABLE reviews (patient_id VARCHAR(64) NOT NULL, day VARCHAR(32) NOT NULL, number INTEGER NOT NULL,
  entry TEXT NOT NULL, PRIMARY KEY (patient_id, day, number));
"""


def old_store(folder):
    """As the first version made it: without digests, keys or a version."""
    folder.mkdir(exist_ok=True)
    database = sqlite3.connect(folder / "avatars.sqlite")
    database.executescript(OLD_TABLES)
    database.execute("INSERT INTO avatars VALUES ('P1', ?)", (avatar(kps=80).to_json(),))
    database.execute("INSERT INTO steps VALUES (?, 'scan', '{}')", ("a" * 64,))
    entry = (
        '{"number":1,"at":"2026-01-01T00:00:00Z","by":"Dr. Ada","act":"sign","version":0,"base":null,'
        '"mask":null,"seconds_viewed":1.0,"seconds_edited":0.0,"voxels_changed":0,"comment":"","independent":false,'
        '"reading":null}'
    )
    database.execute("INSERT INTO reviews VALUES ('P1', '0.0', 1, ?)", (entry,))
    database.commit()
    database.close()
    return folder


def test_a_store_of_the_first_version_is_brought_forward_and_loses_nothing(tmp_path):
    with AvatarStore(old_store(tmp_path)) as store:
        assert store.get("P1") == avatar(kps=80)
        assert store.step("a" * 64) == "{}"
        assert store.review("P1", 0.0).entries[0].by == "Dr. Ada"
    database = sqlite3.connect(tmp_path / "avatars.sqlite")
    assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]
    assert database.execute("PRAGMA foreign_key_list(reviews)").fetchall()
    database.close()


def test_a_store_from_before_there_were_reviews_is_brought_forward(tmp_path):
    in_database(old_store(tmp_path), "DROP TABLE reviews")
    with AvatarStore(tmp_path) as store:
        assert store.get("P1") == avatar(kps=80)
        assert store.review("P1", 0.0).entries == ()


@pytest.mark.parametrize("name", ["what?", "a?mode=ro", "50%20off", "a b#c", "ärzte"])
def test_a_store_is_in_its_folder_whatever_that_is_called(tmp_path, name):
    with AvatarStore(tmp_path / name) as store:
        store.put(avatar())
    assert (tmp_path / name / "avatars.sqlite").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with AvatarStore(tmp_path / name, must_exist=True) as store:
        assert store.patients() == ("P1",)


def test_an_old_and_a_new_store_have_the_same_tables(tmp_path):
    found = []
    for folder in (old_store(tmp_path / "old"), tmp_path / "new"):
        AvatarStore(folder).close()
        database = sqlite3.connect(folder / "avatars.sqlite")
        found.append(
            {
                name: database.execute(f"PRAGMA table_info({name})").fetchall()
                for name in ("avatars", "steps", "reviews")
            }
        )
        database.close()
    assert found[0] == found[1]


def test_the_code_s_tables_are_those_of_the_last_migration():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_a_store_of_a_newer_version_is_left_alone(tmp_path):
    with AvatarStore(tmp_path) as store:
        store.put(avatar())
    in_database(tmp_path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="written by a newer version"):
        AvatarStore(tmp_path)


def test_a_review_without_an_avatar_is_refused_by_the_database(tmp_path):
    with (
        AvatarStore(tmp_path) as store,
        pytest.raises(StoreError, match="FOREIGN KEY"),
        store.database.writing() as session,
    ):
        session.add(ReviewRow(patient_id="P1", day="0.0", number=1, text="{}").sealed())


def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used as a store"):
        AvatarStore(tmp_path / "file" / "store")


def test_settings_that_name_no_database_are_refused(tmp_path):
    (tmp_path / "store.yaml").write_text("data: base")
    with pytest.raises(StoreError, match=r"store\.yaml: cannot be read"):
        AvatarStore(tmp_path)
    with pytest.raises(StoreError, match="is no database that can be used"):
        AvatarStore(tmp_path / "other", url="mystery://x/y")
