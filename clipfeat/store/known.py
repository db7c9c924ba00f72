"""The rows that a feature file has, as its writer and sources know them."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from clipfeat.store.format import NO_KEY, Row
from clipfeat.store.reading import Stored


def mark(row: Row) -> bytes:
    """What must agree for a row to be current: the key, and a checksum of what sources say."""
    columns = sorted((name, text) for name, text in row.columns if text and name != "face")
    about = (row.label, row.group, tuple(columns))
    return row.key + zlib.crc32(repr(about).encode("utf-8", "backslashreplace")).to_bytes(4)


def current_rows(stored: Stored, names: Sequence[str]) -> Iterable[Row]:
    """The current rows, without their sizes."""
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
    """Rows of known keys with the sizes, format and features stored for those keys.

    In the order in which these are found, so that every file is read once; the newest first.
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
            found: list[Row] = []
            places: list[int] = []
            while hits and hits[0] < start + len(chunk):
                at = hits.pop(0)
                for row in wanted.pop(keys[at], ()):
                    found.append(
                        replace(
                            row, height=sizes[at][0], width=sizes[at][1], format=formats[at],
                            file_size=row.file_size or lengths[at],
                        )
                    )  # fmt: skip
                    places.append(at - start)
            if found:
                yield found, chunk[places]
