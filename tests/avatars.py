"""Avatars that tests put into a store from arrays, without a study."""

from __future__ import annotations

from data.avatar import Avatar, Scan
from data.clinical import ClinicalRecord
from data.imaging import Segmentation
from models.measurement import measure
from pipelines.sites.glioma import LABELS


def scan_of(store, image, mask, *, day=0.0, segmenter="a test", given=True):
    """A T1c and its labels."""
    return Scan(
        day=day,
        sequences={"t1c": store.put_volume(image)},
        segmentation=store.put_volume(mask),
        labels=LABELS,
        segmenter=segmenter,
        given=given,
        measurements=measure(Segmentation(mask, LABELS), image),
    )


def put_avatar(store, name, *scans, **more):
    """An in-silico glioma with nothing but its scans, and what else is given."""
    known = {"prior_class": "none", "record": ClinicalRecord(patient_id=name)}
    avatar = Avatar(patient_id=name, site="glioma", origin="in-silico", scans=scans, **known | more)
    store.put(avatar)
    return avatar
