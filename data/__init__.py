"""What is known: the nouns and their files. Start reading at :mod:`data.avatar`."""

from data.avatar import Avatar, Scan, VolumeRef
from data.clinical import ClinicalRecord, Markers
from data.errors import AvatarError
from data.genomics import Variant, VariantSet
from data.imaging import LabelTable, Segmentation, TumorVolume, Volume
from data.timeline import Event, Timeline
from data.treatment import Cycle, Fraction, Regimen

__all__ = [
    "Avatar",
    "AvatarError",
    "ClinicalRecord",
    "Cycle",
    "Event",
    "Fraction",
    "LabelTable",
    "Markers",
    "Regimen",
    "Scan",
    "Segmentation",
    "Timeline",
    "TumorVolume",
    "Variant",
    "VariantSet",
    "Volume",
    "VolumeRef",
]
