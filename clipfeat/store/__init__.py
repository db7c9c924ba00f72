"""Feature files: their format, reading and writing. No other package imports h5py.

A feature file such as ``out.h5`` is stored as one or more HDF5 files:

snapshot
    The file ``out.h5`` itself. It is replaced as a whole when parts are merged.
part
    A file in ``out.h5.parts/`` with the rows of one commit. A merge moves these rows into the
    snapshot or the shards.
shard
    A file in ``out.h5.shards/`` with some of the rows of a large feature file. A feature file has
    either shards or a snapshot.
generation
    A numbered JSON file in ``out.h5.shards/`` that lists shards. The highest number is valid.

If several of these files have a row for the same path, the last row is current and the earlier rows
are superseded. `clipfeat.store.format` defines the format.
"""

from clipfeat.store.combining import MergeReport, merge_files
from clipfeat.store.exporting import export
from clipfeat.store.format import Row
from clipfeat.store.loading import (
    FileProperties,
    feature_files_in,
    file_properties,
    library_versions,
    load,
    provenance,
    stored_spec,
)
from clipfeat.store.reading import Stored, open_stored
from clipfeat.store.verifying import VerifyReport, verify
from clipfeat.store.writing import FeatureWriter

__all__ = [
    "FeatureWriter",
    "FileProperties",
    "MergeReport",
    "Row",
    "Stored",
    "VerifyReport",
    "export",
    "feature_files_in",
    "file_properties",
    "library_versions",
    "load",
    "merge_files",
    "open_stored",
    "provenance",
    "stored_spec",
    "verify",
]
