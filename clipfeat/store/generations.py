"""Generations of a large feature file: numbered lists of its shards.

`clipfeat.store.format` defines shards and generations. A generation is a small file that never
changes. The generation with the highest number is valid. A writer commits new shards by creating
the generation with the next number in one atomic step. If two writers try this on a store without
locks, the second writer finds that the generation exists. It then reads the new generation and
tries again.
"""

import json
import re
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clipfeat.errors import RefusedFileError
from clipfeat.store.format import KIND, REMEDY, SHARDS_SUFFIX, VERSION
from clipfeat.system.files import create, names_in, storage_errors
from clipfeat.system.locations import is_remote

MOST_BYTES = 256 * 2**20
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]*\.h5")
_FILE = re.compile(r"generation-(\d{8})\.json")


@dataclass(frozen=True)
class Shard:
    """Immutable file with some of the rows of a large feature file.

    Parameters
    ----------
    name : str
        File name in the folder of shards.
    n_rows, n_bytes : int
        Number of rows, including superseded rows, and size of the file in bytes.
    """

    name: str
    n_rows: int
    n_bytes: int


@dataclass(frozen=True)
class Generation:
    """List of the shards of a large feature file.

    Parameters
    ----------
    number : int
        Number of the generation, counting from 1.
    shards : tuple of Shard
        The shards in order. If several rows have the same path, the last row is current.
    merged : tuple of str
        Names of the parts, or of the snapshot, whose rows were merged into the shards. A reader
        ignores these files if they still exist.
    """

    number: int
    shards: tuple[Shard, ...]
    merged: tuple[str, ...] = ()


def shards_folder(target: Path) -> Path:
    """Return the folder of a feature file's shards and generations."""
    return target.with_name(target.name + SHARDS_SUFFIX)


def newest_generation(target: Path) -> Generation | None:
    """Read the valid generation, or return None if the feature file has no shards.

    Raises
    ------
    RefusedFileError
        If the generation is damaged or of another format.
    StorageError
        If the folder of shards cannot be read.
    """
    folder = shards_folder(target)
    with storage_errors(f"listing {folder}"):
        names = names_in(folder)
    numbers = [int(m[1]) for name in names if (m := _FILE.fullmatch(name))]
    return read_generation(target, max(numbers)) if numbers else None


def read_generation(target: Path, number: int) -> Generation:
    """Read one generation of a feature file.

    Raises
    ------
    RefusedFileError
        If the generation is damaged or of another format.
    StorageError
        If the generation cannot be read.
    """
    path = shards_folder(target) / _file_name(number)
    with storage_errors(f"reading {path}"):
        if not is_remote(path):
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):  # reading a FIFO or a device would never end
                raise RefusedFileError(f"{path} is not a regular file. {REMEDY}")
            _check_size(status.st_size, path)
        data = path.read_bytes()
    return _parsed(data, number, path)


def commit_generation(target: Path, generation: Generation) -> bool:
    """Commit a generation whose shards are written.

    Returns
    -------
    bool
        False if another writer has already committed a generation with the same number.

    Raises
    ------
    StorageError
        If the disk failed.
    """
    folder = shards_folder(target)
    about = {"clipfeat": KIND, "version": VERSION, **asdict(generation)}
    return create(json.dumps(about, indent=1).encode(), folder / _file_name(generation.number))


def make_folder(target: Path) -> Path:
    """Create the folder of a feature file's shards and return it."""
    folder = shards_folder(target)
    if not is_remote(folder):
        with storage_errors(f"making {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
    return folder


def _file_name(number: int) -> str:
    return f"generation-{number:08d}.json"


def _check_size(n_bytes: int, path: Path) -> None:
    if n_bytes > MOST_BYTES:
        raise RefusedFileError(
            f"{path} has {n_bytes} bytes, but at most {MOST_BYTES} bytes are allowed. {REMEDY}"
        )


def _integer(value: Any) -> int:
    if type(value) is not int:  # bool is a subclass of int
        raise ValueError(f"an integer is expected, got {value!r}")
    return value


def _parsed(data: bytes, number: int, path: Path) -> Generation:
    _check_size(len(data), path)
    try:
        about: Mapping[str, Any] = json.loads(data)
        kind, version = about["clipfeat"], about["version"]
        shards = tuple(
            Shard(str(one["name"]), _integer(one["n_rows"]), _integer(one["n_bytes"]))
            for one in about["shards"]
        )
        generation = Generation(_integer(about["number"]), shards, tuple(map(str, about["merged"])))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RefusedFileError(f"{path} is damaged: {error!r}. {REMEDY}") from error
    if (kind, version) != (KIND, VERSION):
        raise RefusedFileError(
            f"{path} has the format {kind!r}, version {version}, but {KIND!r}, version {VERSION} "
            "is expected. Update clipfeat, or embed the images again with --overwrite."
        )
    if generation.number != number:
        raise RefusedFileError(
            f"{path} is damaged: it has the number {generation.number}, but its file name has the "
            f"number {number}. {REMEDY}"
        )
    names = [shard.name for shard in generation.shards]
    if not names:
        raise RefusedFileError(f"{path} is damaged: it lists no shards. {REMEDY}")
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise RefusedFileError(
            f"{path} is damaged: it lists the shard {repeated!r} more than once. {REMEDY}"
        )
    for name in names:
        if not _NAME.fullmatch(name):
            raise RefusedFileError(
                f"{path} is damaged: it names a shard {name!r}, but a plain file name that ends in "
                f".h5 is expected. {REMEDY}"
            )
    return generation
