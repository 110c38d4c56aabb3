"""VCF: callers' files to :class:`~data.calls.Calls`, whoever called them, and back with fields of our own."""

from data.io.vcf.read import read_vcf
from data.io.vcf.write import Note, annotate_vcf

__all__ = ["Note", "annotate_vcf", "read_vcf"]
