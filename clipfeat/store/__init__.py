"""The feature file: its format, reading and writing. No other package imports h5py."""

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
from clipfeat.store.reading import Stored, open_stored
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
    "open_stored",
    "provenance",
    "stored_spec",
    "verify",
]
