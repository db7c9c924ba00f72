"""The feature file: its format, reading it, writing it. Nothing else imports h5py."""

from clipfeat.store.format import Row
from clipfeat.store.reading import (
    Stored,
    feature_files_in,
    load,
    opened,
    provenance,
    requested_spec,
)
from clipfeat.store.writing import FeatureWriter

__all__ = [
    "FeatureWriter",
    "Row",
    "Stored",
    "feature_files_in",
    "load",
    "opened",
    "provenance",
    "requested_spec",
]
