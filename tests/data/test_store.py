from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.avatar import Avatar
from data.clinical import ClinicalRecord, Markers
from data.errors import StoreError
from data.imaging import Volume
from data.store import AvatarStore
from data.timeline import Event, Timeline


def avatar(patient="P1", **record):
    return Avatar(
        patient_id=patient,
        site="glioma",
        origin="in-silico",
        prior_class="glioma",
        record=ClinicalRecord(patient_id=patient, **record),
    )


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
        store.put(avatar(kps=90))
        assert store.patients() == ("P1",)
        assert store.get("P1").record.kps == 90


def test_an_unknown_patient_is_an_error_that_lists_the_known(tmp_path):
    with AvatarStore(tmp_path) as store:
        store.put(avatar("P7"))
        with pytest.raises(StoreError, match="it holds P7"):
            store.get("P1")


def test_an_avatar_of_another_version_says_so(tmp_path):
    import sqlite3

    with AvatarStore(tmp_path) as store:
        store.put(avatar())
        with sqlite3.connect(tmp_path / "avatars.sqlite") as database:
            database.execute("UPDATE avatars SET document = '{}'")
        database.close()
        with pytest.raises(StoreError, match="another version"):
            store.get("P1")


def test_a_store_that_must_exist_says_how_to_make_one(tmp_path):
    with pytest.raises(StoreError, match="avatar run"):
        AvatarStore(tmp_path / "none", must_exist=True)


def test_leftovers_of_a_crash_are_collected(tmp_path):
    leftover = tmp_path / "volumes" / "ab" / ".tmp-1"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half")
    with AvatarStore(tmp_path):
        assert not leftover.exists()
