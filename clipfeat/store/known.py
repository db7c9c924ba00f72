"""Reading current rows for the writer, which compares them with new rows and copies them."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from clipfeat.store.format import NO_KEY, Row
from clipfeat.store.reading import Stored


def mark(row: Row) -> bytes:
    """Return a row's key, followed by a checksum of its label, group and columns.

    If a stored row and a new row of one path have equal marks, the stored row needs no update.
    """
    columns = sorted((name, text) for name, text in row.columns if text and name != "face")
    about = (row.label, row.group, tuple(columns))
    return row.key + zlib.crc32(repr(about).encode("utf-8", "backslashreplace")).to_bytes(4)


def current_rows(stored: Stored, names: Sequence[str]) -> Iterable[Row]:
    """Yield the current rows without image sizes, file sizes and formats."""
    columns = [stored.source_column(name).tolist() for name in names]
    splits = stored.strings("split").tolist()
    keys = stored.column("keys").tobytes()
    for i, (path, label, group) in enumerate(
        zip(
            stored.strings("paths").tolist(),
            stored.strings("labels").tolist(),
            stored.strings("groups").tolist(),
            strict=True,
        )
    ):
        more = [(name, values[i]) for name, values in zip(names, columns, strict=True)]
        key = keys[i * len(NO_KEY) : (i + 1) * len(NO_KEY)]
        yield Row(path, key, label, group, columns=(*more, ("split", splits[i])))


def as_stored(
    stored: Stored, rows: Sequence[Row]
) -> Iterator[tuple[list[Row], NDArray[np.floating]]]:
    """Add the stored sizes, formats and features to rows whose keys are stored.

    Each file is read once, newest file first. Rows are yielded in the order in which their keys are
    read.

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
