"""What writers of feature files leave behind, and how it is taken away."""

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
    """Where a file that will overwrite `target` is made.

    On an object store, which has no locks, no two writers share it, nor does the next one go on
    from there.
    """
    whose = f"-{secrets.token_hex(4)}" if is_remote(target) else ""
    return target.with_name(f".{target.name}.new{whose}")


def remove_whole(path: Path) -> None:
    """Delete a snapshot and its parts."""
    remove_parts(path)
    with storage_errors(f"removing {path}"):
        remove(path)


def remove_parts(path: Path) -> None:
    """Delete the parts of a feature file, all at once to any reader.

    One by one, a kill in between could leave an older row of a path without the newer.
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
                shutil.rmtree(gone, ignore_errors=True)  # else the next writer tidies it up


def leftovers(path: Path) -> list[Path]:
    """What a killed writer of a feature file may have left: never read by anybody."""
    if is_remote(path):
        return []  # there is nothing half-written
    parts, shards = path.with_name(path.name + PARTS_SUFFIX), shards_folder(path)
    begins = tuple(f".{written.name}." for written in (path, cache_path(path)))
    beside = [p for p in path.parent.glob(f".*{TEMPORARY_SUFFIX}") if p.name.startswith(begins)]
    within = [p for folder in (parts, shards) for p in folder.glob(f".*{TEMPORARY_SUFFIX}")]
    return [*beside, *within, *orphans(path)]
