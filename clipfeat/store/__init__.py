"""The feature file: its format, reading it, writing it. Nothing else imports h5py."""

from clipfeat.store.combining import MergeReport, merge_files
from clipfeat.store.exporting import export
from clipfeat.store.format import Row
from clipfeat.store.loading import (
    FileFacts,
    feature_files_in,
    file_facts,
    load,
    provenance,
    stored_spec,
)
from clipfeat.store.reading import Stored, opened
from clipfeat.store.verifying import VerifyReport, verify
from clipfeat.store.writing import FeatureWriter

__all__ = [
    "FeatureWriter",
    "FileFacts",
    "MergeReport",
    "Row",
    "Stored",
    "VerifyReport",
    "export",
    "feature_files_in",
    "file_facts",
    "load",
    "merge_files",
    "opened",
    "provenance",
    "stored_spec",
    "verify",
]
