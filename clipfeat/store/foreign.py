"""What other tools write of features, found and read.

====================  =============================================================================
thingsvision          a folder with ``features.npy``, ``.hdf5``, ``.mat`` or ``.txt``, or in splits
                      ``features_01.npy``, …; ``file_names.txt`` beside it names the images
clip-retrieval        a folder with ``img_emb/img_emb_0.npy``, … and
                      ``metadata/metadata_0.parquet``, … that name the images in ``image_path``
====================  =============================================================================
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import DataError, RefusedFileError, UsageError
from clipfeat.store.one_file import CHUNK_ROWS

MAX_TEXT = 1000
"""Longer captions are cut: text is stored as wide as the longest."""


@dataclass(frozen=True)
class Found:
    """Another tool's output, not yet read.

    Parameters
    ----------
    tool : str
        Whose it is.
    source : Path
        Where it is, for messages.
    blocks : sequence of array-like of shape (n, n_features)
        The features, in order; sliced where they are read.
    names : sequence of str, optional
        The images' paths as that tool knew them; None where it kept none.
    columns : mapping of str to sequence of str
        What else it kept of each image.
    """

    tool: str
    source: Path
    blocks: Sequence[Any]
    names: Sequence[str] | None
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return sum(block.shape[0] for block in self.blocks)

    @property
    def dtype(self) -> np.dtype[Any]:
        """How the features will be stored: halves stay halves, all else is float32."""
        halves = all(block.dtype == np.float16 for block in self.blocks)
        return np.dtype(np.float16 if halves else np.float32)

    def features(self) -> Iterator[NDArray[np.floating]]:
        """Yield the features, some thousand rows at a time."""
        for block in self.blocks:
            for start in range(0, block.shape[0], CHUNK_ROWS):
                some = slice(start, start + CHUNK_ROWS)
                try:
                    with np.errstate(over="ignore"):  # what overflows is found to be infinite
                        rows = np.ascontiguousarray(block[some], dtype=self.dtype)
                except (OSError, RuntimeError) as error:
                    raise RefusedFileError(f"{self.source} is damaged: {error}") from error
                yield rows


def find(source: Path, stack: ExitStack) -> Found:
    """Find the features of another tool, their shapes and types checked.

    Parameters
    ----------
    source : Path
        A folder or file; see the module.
    stack : ExitStack
        Closes what has to stay open while features are read.

    Raises
    ------
    UsageError
        If it is of no known layout; the message lists them.
    DataError
        If features and names do not agree.
    RefusedFileError
        If a file cannot be read as what it should be.
    """
    if (source / "img_emb").is_dir():
        found = _clip_retrieval(source)
    elif files := _features_files(source):
        found = _thingsvision(files, stack)
    else:
        raise UsageError(
            f"{source} is of no known layout: thingsvision's has features.npy, .hdf5, .mat or "
            ".txt (save a .pt as .npy first), clip-retrieval's has img_emb/ and metadata/"
        )
    _check(found)
    return found


def _features_files(source: Path) -> list[Path]:
    """The files of one set of features: one file, or its numbered splits."""
    if source.is_file():
        return [source] if source.suffix.lower() in READERS else []
    found = [
        path
        for path in source.glob("features*")
        if path.suffix.lower() in READERS and re.fullmatch(r"features(_\d+)?", path.stem)
    ]
    if len({(path.suffix, "_" in path.stem) for path in found}) > 1:
        names = ", ".join(sorted(path.name for path in found))
        raise UsageError(f"{source} holds several sets of features ({names}): name one file")
    return sorted(found, key=lambda path: _number(path.stem))


def _thingsvision(files: Sequence[Path], stack: ExitStack) -> Found:
    blocks: list[Any] = []
    variables: list[str] = []
    for path in files:
        try:
            some, names = READERS[path.suffix.lower()](path, stack)
        except Exception as error:
            # Each format's parser raises whatever it runs into.
            raise RefusedFileError(f"{path} cannot be read as features: {error}") from error
        blocks += some
        variables += names
    listing = files[0].parent / "file_names.txt"
    if not listing.is_file():
        return Found("thingsvision", files[0], blocks, variables or None)
    text = listing.read_text(encoding="utf-8", errors="backslashreplace")
    return Found("thingsvision", files[0], blocks, text.removesuffix("\n").split("\n"))


def _read_npy(path: Path, stack: ExitStack) -> tuple[list[Any], list[str]]:
    return [np.load(path, mmap_mode="r", allow_pickle=False)], []


def _read_hdf5(path: Path, stack: ExitStack) -> tuple[list[Any], list[str]]:
    h5 = stack.enter_context(h5py.File(path, "r", locking=False))
    names = [name for name in h5 if re.fullmatch(r"features(_\d+)?", name)]
    for name in names:
        # Links, virtual datasets and external storage could point at any file of this machine.
        if not isinstance(h5.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{name!r} is a link to somewhere else")
        if not isinstance(h5[name], h5py.Dataset) or h5[name].is_virtual or h5[name].external:
            raise ValueError(f"{name!r} is not plain data")
    return [h5[name] for name in sorted(names, key=_number)], []


def _read_mat(path: Path, stack: ExitStack) -> tuple[list[Any], list[str]]:
    """One matrix, or as thingsvision does where it knows the names, a variable for each image."""
    from scipy.io import loadmat

    found = {name: values for name, values in loadmat(path).items() if not name.startswith("__")}
    if set(found) == {"features"}:
        return [found["features"]], []
    return [np.vstack(list(found.values()))], list(found)


def _read_txt(path: Path, stack: ExitStack) -> tuple[list[Any], list[str]]:
    return [np.loadtxt(path, dtype=np.float32, ndmin=2)], []


Reader = Callable[[Path, ExitStack], tuple[list[Any], list[str]]]
READERS: dict[str, Reader] = {
    ".npy": _read_npy,
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
    ".mat": _read_mat,
    ".txt": _read_txt,
}
"""How each of thingsvision's formats is read: to blocks of features, and names that it holds."""


def _clip_retrieval(folder: Path) -> Found:
    import pyarrow as pa
    import pyarrow.parquet as pq

    blocks: list[Any] = []
    columns: dict[str, list[str]] = {"image_path": [], "caption": [], "url": []}
    paths = sorted((folder / "img_emb").glob("img_emb_*.npy"), key=lambda p: _number(p.stem))
    if not paths:
        raise DataError(f"no img_emb_0.npy in {folder / 'img_emb'}")
    for path in paths:
        beside = folder / "metadata" / (path.stem.replace("img_emb", "metadata") + ".parquet")
        try:
            blocks += _read_npy(path, ExitStack())[0]
            table = pq.read_table(beside)
            names = [name for name in columns if name in table.column_names]
            text = {name: table[name].cast(pa.string()).to_pylist() for name in names}
        except (OSError, ValueError, pa.ArrowException) as error:
            raise RefusedFileError(f"{path} with {beside} cannot be read: {error}") from error
        if "image_path" not in text or table.num_rows != len(blocks[-1]):
            raise DataError(
                f"{beside} must have an image_path for each of the {len(blocks[-1])} rows of "
                f"{path}: it has {table.num_rows} rows of {', '.join(table.column_names)}"
            )
        for name, values in columns.items():
            values += [(value or "")[:MAX_TEXT] for value in text.get(name, [""] * table.num_rows)]
    names = columns.pop("image_path")
    kept = {name: values for name, values in columns.items() if any(values)}
    return Found("clip-retrieval", folder, blocks, names, kept)


def _number(name: str) -> int:
    digits = re.search(r"(\d+)$", name)
    return int(digits[1]) if digits else 0


def _check(found: Found) -> None:
    shapes = [block.shape for block in found.blocks]
    if not shapes or any(len(shape) != 2 or shape[1] != shapes[0][-1] for shape in shapes):
        raise DataError(
            f"the features of {found.source} must be a matrix, a row for each image, got shapes "
            f"{shapes or 'none'}; thingsvision flattens with flatten_acts=True"
        )
    if any(block.dtype.kind != "f" for block in found.blocks):
        raise DataError(f"the features of {found.source} must be floats")
    if not found.n_rows:
        raise DataError(f"{found.source} holds no features")
    if found.names is not None and len(found.names) != found.n_rows:
        raise DataError(
            f"{found.source} has {found.n_rows} rows of features and {len(found.names)} names of "
            "images: which is which cannot be told"
        )
