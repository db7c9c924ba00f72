"""Webdataset shards: tar files in which members with the same stem form one sample.

A sample is an image with an optional ``.cls`` file and an optional ``.json`` file, its side-cars.
See `clipfeat.images.sidecars` for their contents, and `clipfeat.images.pairing` for the rule by
which they are paired. If a member occurs twice, its contents must be equal. Hidden members, such as
the AppleDouble files ``._x.jpg`` of macOS, are skipped. If no sample has a label, and the
folders in the archive name more than one class, the folders give the labels, as in
`clipfeat.images.layouts`. Listing reads only the headers of the tar file and the side-cars. The
images are read later, from their offsets.
"""

import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, repeat
from pathlib import PurePosixPath

from clipfeat.errors import DataError, RefusedFileError, StorageError
from clipfeat.features.label_text import present
from clipfeat.images.formats import HEAD_BYTES, image_suffixes
from clipfeat.images.layouts import PathValues, understand
from clipfeat.images.member_names import path_parts, plain_path, suffix_of
from clipfeat.images.packed_records import field_values, pack_records
from clipfeat.images.readers import Reader, RemoteObject, TarMember, Unreadable
from clipfeat.images.record import ImageRecord
from clipfeat.images.shards import existing_shards, open_shard
from clipfeat.images.sidecars import PARSERS, describe
from clipfeat.images.skipping import (
    DAMAGED_HEADER,
    HIDDEN,
    REPEATED,
    is_hidden,
    skipped_kind,
)
from clipfeat.images.source import ImageSource, make_source, relabel
from clipfeat.images.tar_headers import DamagedMember, members
from clipfeat.images.video import VIDEO_SUFFIXES
from clipfeat.system.locations import absolute, below, common_folder, folder_of, is_remote

_MAX_TEXT = 2**20


def is_tar_pattern(spec: str) -> bool:
    """Return whether a source is a tar file or a pattern of tar files."""
    return spec.endswith(".tar")


def open_webdataset(spec: str) -> ImageSource:
    """List the samples of a tar file, or of a pattern such as ``train-{000..099}.tar``.

    Raises
    ------
    EmptySourceError
        If a shard is missing.
    RefusedFileError
        If a shard cannot be read as a tar file.
    """
    shards = existing_shards(spec)
    root = common_folder([folder_of(shard) for shard in shards])
    skipped: Counter[str] = Counter()
    n_images = Counter[str]()
    records = pack_records(_counted_samples(shards, root, skipped, n_images))
    places = tuple(absolute(shard) for shard in shards if not is_remote(shard))
    layout, notes = "", tuple[str, ...]()
    if not any(field_values(records, "label")):
        prefixes = chain.from_iterable(
            repeat(below(root, absolute(shard)) + "/", n) for shard, n in n_images.items()
        )
        inside = [
            path_parts(path.removeprefix(prefix))
            for path, prefix in zip(field_values(records, "path"), prefixes, strict=True)
        ]
        stem = PurePosixPath(shards[0]).stem if len(shards) == 1 else ""
        understood = understand(inside, root=stem)
        if len({values.label for values in understood.values} - {""}) > 1:
            records = pack_records(map(_with_values, records, understood.values))
            layout, notes = understood.layout, understood.notes
    source = make_source(spec, root, records, skipped=skipped, places=places)
    return replace(source, layout=layout, notes=notes)


def _counted_samples(
    shards: Sequence[str], root: str, skipped: Counter[str], n_images: Counter[str]
) -> Iterator[ImageRecord]:
    """Yield the samples of all shards, and count those of each shard."""
    for shard in dict.fromkeys(shards):
        for record in _samples(shard, root, skipped):
            n_images[shard] += 1
            yield record


def _with_values(record: ImageRecord, values: PathValues) -> ImageRecord:
    columns = dict(values.columns) | dict(record.columns)
    return relabel(record, values.label, record.group or values.group, columns.items())


@dataclass(frozen=True)
class _Listing:
    """Members of a shard by kind.

    Parameters
    ----------
    shard : str
        Path or URL of the tar file.
    skipped : Counter
        Number of skipped members, by kind.
    """

    shard: str
    skipped: Counter[str]
    images: dict[str, Reader] = field(default_factory=dict)
    sidecars: dict[str, dict[str, bytes | None]] = field(
        default_factory=lambda: {suffix: {} for suffix in PARSERS}
    )
    seen: dict[str, tarfile.TarInfo] = field(default_factory=dict)
    damaged: list[DamagedMember] = field(default_factory=list)

    def add(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        """Add a member that is not a folder."""
        suffix, plain = suffix_of(member.name), plain_path(member.name)
        if is_hidden(member.name.split("/")):
            self.skipped[HIDDEN] += 1
        elif not member.isreg() or member.issparse():
            self.skipped["link" if member.issym() or member.islnk() else "special file"] += 1
        elif (earlier := self.seen.setdefault(plain, member)) is not member:
            _check_equal(tar, earlier, member, self.shard)
            self.skipped[REPEATED] += 1
        elif suffix in self.sidecars:
            self.sidecars[suffix][member.name] = _text(tar, member)
        elif kind := skipped_kind(member.name, partial(_head, tar, member)):
            self.skipped[kind] += 1
        elif suffix not in VIDEO_SUFFIXES:
            reader = RemoteObject if is_remote(self.shard) else TarMember
            self.images[member.name] = reader(self.shard, member.offset_data, member.size)
        else:
            self.skipped[suffix] += 1

    def add_damaged(self) -> None:
        """Add images and side-cars with a damaged header, which cannot be read.

        An image becomes one recorded failure. Members of other kinds, and members whose name is
        damaged or belongs to another member, are counted.
        """
        seen = set(self.seen)
        for member in self.damaged:
            suffix, plain = suffix_of(member.name), plain_path(member.name)
            is_repeated = plain in seen
            seen.add(plain)
            if not member.name or is_repeated or is_hidden(member.name.split("/")):
                self.skipped[DAMAGED_HEADER] += 1
            elif suffix in self.sidecars:
                self.sidecars[suffix][member.name] = None
            elif suffix in image_suffixes():
                reason = f"the member cannot be read: {member.reason}"
                self.images[member.name] = Unreadable(reason)
            else:
                self.skipped[DAMAGED_HEADER] += 1


def _samples(shard: str, root: str, skipped: Counter[str]) -> Iterator[ImageRecord]:
    name = below(root, absolute(shard))
    listing = _Listing(shard, skipped)
    try:
        with open_shard(shard) as file:
            for tar, member in members(file, shard):
                if isinstance(member, DamagedMember):
                    listing.damaged.append(member)
                elif not member.isdir():
                    listing.add(tar, member)
    except (StorageError, DataError):
        raise
    except (
        tarfile.TarError, OSError, ValueError, IndexError, OverflowError, RecursionError,
        MemoryError,
    ) as error:  # fmt: skip
        raise RefusedFileError(
            f"{shard} cannot be read as a tar file: {error}. Pass an intact, uncompressed tar file"
        ) from error
    listing.add_damaged()
    described = describe(list(listing.images), listing.sidecars, shard, skipped)
    for (path, reader), (label, values) in zip(listing.images.items(), described, strict=True):
        columns = dict(values)
        yield ImageRecord(
            path=f"{name}/{path}",
            reader=reader,
            label=label,
            group=present(columns.pop("group", "")),
            columns=tuple(sorted(columns.items())),
        )


def _check_equal(
    tar: tarfile.TarFile, first: tarfile.TarInfo, again: tarfile.TarInfo, shard: str
) -> None:
    if first.size != again.size or any(
        one != other for one, other in zip(_chunks(tar, first), _chunks(tar, again), strict=True)
    ):
        raise DataError(
            f"{shard} has two members named {first.name!r} with different contents. Remove one of "
            "them"
        )


def _head(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return b"" if file is None else file.read(HEAD_BYTES)


def _bytes(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return b"" if file is None else file.read()


def _chunks(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    file = tar.extractfile(member)
    while file is not None and (chunk := file.read(2**20)):
        yield chunk


def _text(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | None:
    return None if member.size > _MAX_TEXT else _bytes(tar, member)
