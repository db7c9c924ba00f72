"""Parts: rows and failures committed as one small immutable file, by whoever has them.

A part needs no lock. Its name is like no other's and it is whole or absent, so that workers on many
machines may publish into one folder; whoever holds the lock merges what they published.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from clipfeat.spec import EncoderSpec
from clipfeat.store.format import KIND, VERSION, Column, Segment, checksum, segment_columns
from clipfeat.system.files import publish, storage_errors
from clipfeat.system.locations import is_remote

LIBRARIES = ("clipfeat", "torch", "timm", "open_clip_torch", "pillow", "numpy", "h5py")


@dataclass(frozen=True)
class PartPublisher:
    """What a worker must know to commit rows; made by the writer that holds the lock.

    Parameters
    ----------
    folder : Path
        The feature file's folder of parts, absolute: every worker reaches it under this name.
    sequence : int
        The first part of the names: higher than that of every part that is there.
    spec, root, request
        As the writer has them.
    """

    folder: Path
    sequence: int
    spec: EncoderSpec
    root: str
    request: str

    def publish(self, segment: Segment, place: int) -> str:
        """Commit a segment: once this returns, it is safe.

        Parameters
        ----------
        segment : Segment
            Its features in the type that is stored.
        place : int
            Of its first image in the source; orders parts.

        Returns
        -------
        str
            The part's name, which no other has, nor a second attempt at the same rows.

        Raises
        ------
        StorageError
            If it could not be written, or this machine does not see the folder's own.
        """
        if not is_remote(self.folder):
            with storage_errors(f"making {self.folder} (a folder that all workers share)"):
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
    """The attributes of a snapshot or part."""
    made_by = {name: version(name) for name in LIBRARIES}
    return {
        "clipfeat": np.bytes_(KIND),
        "version": VERSION,
        "encoder": np.bytes_(spec.to_json().encode()),
        "fingerprint": np.bytes_(spec.fingerprint),
        "root": np.bytes_(root.encode("utf-8", "backslashreplace")),
        "complete": np.uint8(complete),
        "libraries": np.bytes_(json.dumps(made_by)),
        "provenance": np.bytes_(json.dumps(provenance or {})),
        "request": np.bytes_(request.encode()),
    }


def part_image(segment: Segment, attributes: Mapping[str, Any]) -> bytes:
    """The bytes of a file that holds one segment, built in memory."""
    with h5py.File("part", "w", driver="core", backing_store=False, libver="v110") as h5:
        create(h5, "features", np.ascontiguousarray(segment.features))
        for name, values in segment_columns(segment).items():
            create(h5, name, values)
        h5.attrs.update(attributes)
        h5.flush()
        image: bytes = h5.id.get_file_image()
    return image


def create(h5: Any, name: str, values: Column) -> None:
    """Add a dataset with its checksum."""
    if values.dtype.kind == "S":
        values = values.astype(h5py.string_dtype("utf-8", values.dtype.itemsize))
    dataset = h5.create_dataset(name, data=values, track_times=False)
    dataset.attrs["crc32"] = np.uint32(checksum(values))
