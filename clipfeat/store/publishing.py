"""Parts: small files that never change, each with the rows and failures of one commit.

A part needs no lock, since its name is unique and it is written atomically. Workers on many
machines can publish parts into one folder, and the process that holds the lock merges them. See
`clipfeat.store.format` for the terms.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from clipfeat.spec import EncoderSpec
from clipfeat.store.format import KIND, VERSION, Column, Segment, checksum, segment_columns
from clipfeat.system.files import publish, storage_errors
from clipfeat.system.locations import is_remote

RECORDED_LIBRARIES = ("clipfeat", "torch", "timm", "open_clip_torch", "pillow", "numpy", "h5py")
"""Libraries whose versions a feature file records."""


@dataclass(frozen=True)
class PartPublisher:
    """Publisher that commits a worker's rows as parts.

    The writer that holds the lock creates the publisher.

    Parameters
    ----------
    folder : Path
        The feature file's folder of parts, as an absolute path that is valid on every worker.
    sequence : int
        Number at the start of the parts' names. It is higher than that of every existing part.
    spec, root, request
        As in `FeatureWriter`.
    """

    folder: Path
    sequence: int
    spec: EncoderSpec
    root: str
    request: str

    def publish(self, segment: Segment, place: int) -> str:
        """Commit a segment as a part. Its rows are safe once this method returns.

        Parameters
        ----------
        segment : Segment
            Rows and failures, with features in the dtype of the feature file.
        place : int
            Index of the segment's first image in the source. It determines the order of the parts.

        Returns
        -------
        str
            The part's name. It is unique, even for a second attempt at the same rows.

        Raises
        ------
        StorageError
            If the part cannot be written, or this machine does not see the shared folder.
        """
        if not is_remote(self.folder):
            with storage_errors(f"creating {self.folder} (a folder shared by all workers)"):
                self.folder.mkdir(exist_ok=True)
        name = f"{self.sequence:08d}-{place:012d}-{secrets.token_hex(8)}.h5"
        attributes = file_attributes(self.spec, self.root, self.request)
        publish(part_image(segment, attributes), self.folder / name)
        return name


def file_attributes(
    spec: EncoderSpec,
    root: str,
    request: str,
    provenance: Mapping[str, Any] | None = None,
    *,
    complete: bool = False,
) -> dict[str, Any]:
    """Return the HDF5 attributes of a snapshot, a shard or a part."""
    return {
        "clipfeat": np.bytes_(KIND),
        "version": VERSION,
        "encoder": np.bytes_(spec.to_json().encode()),
        "fingerprint": np.bytes_(spec.fingerprint),
        "root": np.bytes_(root.encode("utf-8", "backslashreplace")),
        "complete": np.uint8(complete),
        "libraries": np.bytes_(_library_versions()),
        "provenance": np.bytes_(json.dumps(provenance or {})),
        "request": np.bytes_(request.encode()),
    }


@cache
def _library_versions() -> bytes:
    """Return the versions of the recorded libraries as JSON. Reading them takes 5 ms."""
    return json.dumps({name: version(name) for name in RECORDED_LIBRARIES}).encode()


def part_image(segment: Segment, attributes: Mapping[str, Any]) -> bytes:
    """Build the bytes of a segment's file in memory."""
    # HDF5 refuses to open the same name twice in a process, even for files in memory. Several
    # threads may build parts at the same time, so each name is random.
    name = f"part-{secrets.token_hex(8)}"
    with h5py.File(name, "w", driver="core", backing_store=False, libver="v110") as h5:
        create_dataset(h5, "features", np.ascontiguousarray(segment.features))
        for name, values in segment_columns(segment).items():
            create_dataset(h5, name, values)
        h5.attrs.update(attributes)
        h5.flush()
        image: bytes = h5.id.get_file_image()
    return image


def create_dataset(h5: Any, name: str, values: Column) -> None:
    """Add a dataset with its checksum."""
    if values.dtype.kind == "S":
        values = values.astype(h5py.string_dtype("utf-8", values.dtype.itemsize))
    dataset = h5.create_dataset(name, data=values, track_times=False)
    dataset.attrs["crc32"] = np.uint32(checksum(values))
