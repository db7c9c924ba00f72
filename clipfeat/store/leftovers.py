"""Removing parts, snapshots, and the temporary files of killed writers.

`clipfeat.store.format` defines parts and snapshots.
"""

import secrets
import shutil
from pathlib import Path

from clipfeat.store.format import PARTS_SUFFIX
from clipfeat.store.generations import shards_folder
from clipfeat.store.merging import orphans
from clipfeat.store.reading import part_paths
from clipfeat.store.stat_cache import cache_path
from clipfeat.system.files import TEMPORARY_SUFFIX, flush, remove, storage_errors, temporary_name
from clipfeat.system.locations import is_remote


def staging_path(target: Path) -> Path:
    """Return the path at which the file that will replace `target` is written.

    An object store has no locks, so each writer uses a different path there. An interrupted
    replacement on an object store is therefore not resumed.
    """
    whose = f"-{secrets.token_hex(4)}" if is_remote(target) else ""
    return target.with_name(f".{target.name}.new{whose}")


def remove_whole(path: Path) -> None:
    """Delete a snapshot and its parts."""
    remove_parts(path)
    with storage_errors(f"removing {path}"):
        remove(path)


def remove_parts(path: Path) -> None:
    """Delete the parts of a feature file. On a local disk, a reader sees all parts or none.

    If parts were deleted one by one, a kill could delete the newer row of a path and leave the
    older row.
    """
    folder = path.with_name(path.name + PARTS_SUFFIX)
    if is_remote(folder):
        with storage_errors(f"removing merged parts of {path}"):
            for part in part_paths(path):  # the oldest first
                remove(part)
    elif folder.exists():
        with storage_errors(f"removing merged parts of {path}"):
            gone = temporary_name(path)
            folder.rename(gone)
            try:
                flush(path.parent)
            finally:
                shutil.rmtree(gone, ignore_errors=True)  # the next writer removes any remains


def leftovers(path: Path) -> list[Path]:
    """List the files that a killed writer may have left. No reader uses these files."""
    if is_remote(path):
        return []  # a remote write is atomic
    parts, shards = path.with_name(path.name + PARTS_SUFFIX), shards_folder(path)
    begins = tuple(f".{written.name}." for written in (path, cache_path(path)))
    beside = [p for p in path.parent.glob(f".*{TEMPORARY_SUFFIX}") if p.name.startswith(begins)]
    within = [p for folder in (parts, shards) for p in folder.glob(f".*{TEMPORARY_SUFFIX}")]
    return [*beside, *within, *orphans(path)]
