"""Reading current rows for the writer, which compares new rows with them and reuses features."""

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from clipfeat.store.format import KEY_BYTES, Row, column_dataset
from clipfeat.store.one_file import CHUNK_ROWS
from clipfeat.store.reading import Stored

PATH_BYTES = 12
MARK_BYTES = KEY_BYTES + 4


def path_digest(path: str) -> bytes:
    """Return a 96-bit digest of a path.

    Among a billion paths, the probability that any two have equal digests is 6e-12. The content
    hashes of the images are compared as well.
    """
    data = path.encode("utf-8", "backslashreplace")
    return hashlib.blake2b(data, digest_size=PATH_BYTES).digest()


def mark(row: Row) -> bytes:
    """Return a row's key, followed by a checksum of its label, group and columns (except ``face``).

    If a stored row and a new row of one path have equal marks, the stored row needs no update.
    """
    columns = sorted((name, text) for name, text in row.columns if text and name != "face")
    about = (row.label, row.group, tuple(columns))
    return row.key + zlib.crc32(repr(about).encode("utf-8", "backslashreplace")).to_bytes(4)


def current_rows(stored: Stored, names: Sequence[str]) -> Iterator[Row]:
    """Yield the current rows without image sizes, file sizes and formats.

    The paths, labels and columns of one file are read into memory as arrays of bytes. At most
    `CHUNK_ROWS` rows at a time are Python strings.
    """
    for file, mask in zip(stored.files, stored.kept, strict=True):
        of_file = [name for name in names if name in file.column_names]
        datasets = ("paths", "groups", "split", *map(column_dataset, of_file))
        raw = [file.column(dataset)[mask] for dataset in datasets]
        keys = file.column("keys")[mask]
        codes, classes = file.label_codes()
        codes = codes[mask]
        for start in range(0, len(keys), CHUNK_ROWS):
            chunk = slice(start, start + CHUNK_ROWS)
            texts = [file.decode(values[chunk]).tolist() for values in raw]
            for key, code, path, group, split, *more in zip(
                keys[chunk], codes[chunk].tolist(), *texts, strict=True
            ):
                columns = dict.fromkeys(names, "") | dict(zip(of_file, more, strict=True))
                label = classes[code]
                yield Row(
                    path, key.tobytes(), label, group, columns=(*columns.items(), ("split", split))
                )


def as_stored(
    stored: Stored, rows: Sequence[Row]
) -> Iterator[tuple[list[Row], NDArray[np.floating]]]:
    """Add the stored sizes, formats and features to rows whose keys are in the feature file.

    Each file is read once, from the newest to the oldest. Rows are yielded in the order in which
    their keys are found.

    Yields
    ------
    rows : list of Row
        Completed rows.
    features : ndarray of shape (len(rows), n_features)
        Features of these rows.
    """
    wanted: dict[bytes, list[Row]] = {}
    for row in rows:
        wanted.setdefault(row.key, []).append(row)
    for file in reversed(stored.files):
        keys = [value.tobytes() for value in file.column("keys")]
        hits = [place for place, key in enumerate(keys) if key in wanted]
        if not hits:
            continue
        sizes, formats = file.column("image_size").tolist(), file.strings("format").tolist()
        lengths = file.column("file_size").tolist()
        for start, chunk in file.features():
            completed: list[Row] = []
            places: list[int] = []
            while hits and hits[0] < start + len(chunk):
                at = hits.pop(0)
                for row in wanted.pop(keys[at], ()):
                    completed.append(
                        replace(
                            row, height=sizes[at][0], width=sizes[at][1], format=formats[at],
                            file_size=row.file_size or lengths[at],
                        )
                    )  # fmt: skip
                    places.append(at - start)
            if completed:
                yield completed, chunk[places]
