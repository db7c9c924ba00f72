"""Generations: which shards a large feature file is made of, committed by one atomic create.

Each is a small file that is written once and never changed; the one of the highest number holds.
Who makes the next one creates the file of the next number: where two try, on a file system that has
no locks, one of them finds it there, and looks again at what there is.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clipfeat.errors import RefusedFileError
from clipfeat.store.format import KIND, SHARDS_SUFFIX, VERSION
from clipfeat.system.files import create, names_in, storage_errors
from clipfeat.system.locations import is_remote

MOST_BYTES = 256 * 2**20
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]*\.h5")
_FILE = re.compile(r"generation-(\d{8})\.json")


@dataclass(frozen=True)
class Shard:
    """An immutable file of a generation.

    Parameters
    ----------
    name : str
        In the folder of shards.
    n_rows, n_bytes : int
        Rows in it, superseded ones among them, and its size.
    """

    name: str
    n_rows: int
    n_bytes: int


@dataclass(frozen=True)
class Generation:
    """What a large feature file is made of.

    Parameters
    ----------
    number : int
        From 1.
    shards : tuple of Shard
        Of the rows that share a path, the last shard's holds.
    merged : tuple of str
        Names of parts, and of a snapshot, whose rows are in the shards: to be ignored where they
        still are.
    """

    number: int
    shards: tuple[Shard, ...]
    merged: tuple[str, ...] = ()


def shards_folder(target: Path) -> Path:
    """Where the shards and generations of a feature file are."""
    return target.with_name(target.name + SHARDS_SUFFIX)


def newest_generation(target: Path) -> Generation | None:
    """The generation that holds, or None where a feature file has no shards.

    Raises
    ------
    RefusedFileError
        If it is damaged, or of another format.
    StorageError
        If the folder cannot be read.
    """
    folder = shards_folder(target)
    with storage_errors(f"listing {folder}"):
        found = names_in(folder)
    numbers = [int(m[1]) for name in found if (m := _FILE.fullmatch(name))]
    return read_generation(target, max(numbers)) if numbers else None


def read_generation(target: Path, number: int) -> Generation:
    """One of the generations of a feature file.

    Raises
    ------
    RefusedFileError
        If it is damaged, or of another format.
    StorageError
        If it cannot be read.
    """
    path = shards_folder(target) / _file_name(number)
    with storage_errors(f"reading {path}"):
        data = path.read_bytes()
    return _parsed(data, number, path)


def commit_generation(target: Path, generation: Generation) -> bool:
    """Make a generation hold; its shards are there.

    Returns
    -------
    bool
        False if another of this number was first.

    Raises
    ------
    StorageError
        If the disk failed.
    """
    folder = shards_folder(target)
    about = {"clipfeat": KIND, "version": VERSION, **asdict(generation)}
    return create(json.dumps(about, indent=1).encode(), folder / _file_name(generation.number))


def make_folder(target: Path) -> Path:
    """The folder of a feature file's shards, which is there from now on."""
    folder = shards_folder(target)
    if not is_remote(folder):
        with storage_errors(f"making {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
    return folder


def _file_name(number: int) -> str:
    return f"generation-{number:08d}.json"


def _parsed(data: bytes, number: int, path: Path) -> Generation:
    if len(data) > MOST_BYTES:
        raise RefusedFileError(f"{path} has {len(data)} bytes, over the limit of {MOST_BYTES}")
    try:
        about: Mapping[str, Any] = json.loads(data)
        kind, version = about["clipfeat"], about["version"]
        shards = tuple(
            Shard(str(one["name"]), int(one["n_rows"]), int(one["n_bytes"]))
            for one in about["shards"]
        )
        found = Generation(int(about["number"]), shards, tuple(map(str, about["merged"])))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RefusedFileError(f"{path} is damaged: {error!r}") from error
    if (kind, version) != (KIND, VERSION):
        raise RefusedFileError(
            f"{path} is of {kind!r}, version {version}; this clipfeat reads {KIND!r}, {VERSION}"
        )
    names = [shard.name for shard in found.shards]
    if found.number != number or len(set(names)) < len(names) or not names:
        raise RefusedFileError(f"{path} is damaged: its number or its shards cannot be")
    for name in names:
        if not _NAME.fullmatch(name):
            raise RefusedFileError(f"{path} names a shard that is no plain file name: {name!r}")
    return found
