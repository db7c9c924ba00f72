"""Finding and reading the features that other tools write.

These are the known layouts, by tool:

====================  =============================================================================
thingsvision          a folder with ``features.npy``, ``.hdf5``, ``.mat`` or ``.txt``, or with the
                      numbered files ``features_01.npy``, …; ``file_names.txt`` names the images
clip-retrieval        a folder with ``img_emb/img_emb_0.npy``, … and
                      ``metadata/metadata_0.parquet``, …, whose column ``image_path`` names the
                      images
====================  =============================================================================
"""

import math
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
from clipfeat.images.parquet_sizes import check_parquet_size
from clipfeat.images.parquet_types import plain_columns
from clipfeat.store.one_file import CHUNK_ROWS
from clipfeat.system.files import MAX_RATIO, MAX_UNPACKED, read_regular
from clipfeat.system.optional_libraries import require

MAX_CAPTION = 1000
"""Maximum number of characters of a caption. All values of a text dataset take as much space as the
longest value."""


@dataclass(frozen=True)
class ForeignFeatures:
    """Features of another tool, read on demand.

    Parameters
    ----------
    tool : str
        Name of the tool.
    source : Path
        Path of the tool's output, for messages.
    blocks : sequence of array-like of shape (n, n_features)
        The features in order. Slicing a block reads its rows.
    names : sequence of str, optional
        The paths of the images as stored by the tool. None if it stores no paths.
    columns : mapping of str to sequence of str
        Other metadata of each image.
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
        """Dtype of the stored features: float16 if all blocks have it, otherwise float32."""
        is_half = all(block.dtype == np.float16 for block in self.blocks)
        return np.dtype(np.float16 if is_half else np.float32)

    def features(self) -> Iterator[NDArray[np.floating]]:
        """Yield the features in blocks of a few thousand rows."""
        for block in self.blocks:
            for start in range(0, block.shape[0], CHUNK_ROWS):
                some = slice(start, start + CHUNK_ROWS)
                try:
                    with np.errstate(over="ignore"):  # infinite values are refused later
                        rows = np.ascontiguousarray(block[some], dtype=self.dtype)
                except (OSError, RuntimeError) as error:
                    raise RefusedFileError(
                        f"{self.source} is damaged: {error}. Export the features again."
                    ) from error
                yield rows


def find_foreign(source: Path, stack: ExitStack) -> ForeignFeatures:
    """Find the features of another tool and check their shapes and types.

    Parameters
    ----------
    source : Path
        A folder or file in one of the layouts of this module's docstring.
    stack : ExitStack
        Stack on which this function opens files. Features can be read until the stack is closed.

    Raises
    ------
    UsageError
        If the layout is unknown. The message lists the known layouts.
    DataError
        If the numbers of features and names differ. If the features are not a matrix of floats.
    RefusedFileError
        If a file cannot be read.
    """
    if (source / "img_emb").is_dir():
        foreign = _clip_retrieval(source)
    elif files := _features_files(source):
        foreign = _thingsvision(files, stack)
    else:
        raise UsageError(
            f"{source} has an unknown layout. Pass a thingsvision folder (features.npy, .hdf5, "
            ".mat or .txt) or a clip-retrieval folder (img_emb/ and metadata/). Convert a .pt file "
            "to .npy first."
        )
    _check(foreign)
    return foreign


def _features_files(source: Path) -> list[Path]:
    """List the files that contain the features: a single file or numbered files."""
    if source.is_file():
        return [source] if source.suffix.lower() in READERS else []
    files = [
        path
        for path in source.glob("features*")
        if path.suffix.lower() in READERS and re.fullmatch(r"features(_\d+)?", path.stem)
    ]
    if len({(path.suffix, "_" in path.stem) for path in files}) > 1:
        names = ", ".join(sorted(path.name for path in files))
        raise UsageError(f"{source} contains several sets of features ({names}). Pass one file.")
    return sorted(files, key=lambda path: _number(path.stem))


def _thingsvision(files: Sequence[Path], stack: ExitStack) -> ForeignFeatures:
    blocks: list[Any] = []
    variables: list[str] = []
    for path in files:
        try:
            some, names = READERS[path.suffix.lower()](path, stack)
        except Exception as error:
            # The parser of each format raises its own exceptions.
            raise RefusedFileError(
                f"{path} cannot be read as features: {error}. Export the features again."
            ) from error
        blocks += some
        variables += names
    listing = files[0].parent / "file_names.txt"
    if not listing.is_file():
        return ForeignFeatures("thingsvision", files[0], blocks, variables or None)
    text = read_regular(listing).decode("utf-8", "backslashreplace")
    names = text.removesuffix("\n").split("\n")
    return ForeignFeatures("thingsvision", files[0], blocks, names)


def _read_npy(path: Path, stack: ExitStack) -> tuple[list[Any], list[str]]:
    return [np.load(path, mmap_mode="r", allow_pickle=False)], []


def _read_hdf5(path: Path, stack: ExitStack) -> tuple[list[Any], list[str]]:
    h5 = stack.enter_context(h5py.File(path, "r", locking=False))
    names = [name for name in h5 if re.fullmatch(r"features(_\d+)?", name)]
    for name in names:
        # Links, virtual datasets and external storage may refer to any file on this machine.
        if not isinstance(h5.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{name!r} is a soft or external link")
        if not isinstance(h5[name], h5py.Dataset) or h5[name].is_virtual or h5[name].external:
            raise ValueError(f"{name!r} is not a dataset, or its data are in another file")
    return [h5[name] for name in sorted(names, key=_number)], []


def _read_mat(path: Path, stack: ExitStack) -> tuple[list[Any], list[str]]:
    """Read the matrix ``features``, or one variable for each image, named after the image."""
    from scipy.io import loadmat, whosmat

    n_bytes, size = sum(8 * math.prod(shape) for _, shape, _ in whosmat(path)), path.stat().st_size
    if n_bytes > max(MAX_UNPACKED, MAX_RATIO * size):
        raise ValueError(f"{size} bytes would unpack to {n_bytes} bytes")
    data = {name: values for name, values in loadmat(path).items() if not name.startswith("__")}
    if set(data) == {"features"}:
        return [data["features"]], []
    return [np.vstack(list(data.values()))], list(data)


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
"""Readers of thingsvision's file formats. Each returns blocks of features and the names of their
images, or no names if the file does not contain them."""


def _clip_retrieval(folder: Path) -> ForeignFeatures:
    require("pyarrow", f"reading {folder}")
    import pyarrow as pa
    import pyarrow.parquet as pq

    blocks: list[Any] = []
    columns: dict[str, list[str]] = {"image_path": [], "caption": [], "url": []}
    paths = sorted((folder / "img_emb").glob("img_emb_*.npy"), key=lambda p: _number(p.stem))
    if not paths:
        raise DataError(
            f"{folder / 'img_emb'} contains no img_emb_0.npy. Run clip-retrieval again."
        )
    for path in paths:
        beside = folder / "metadata" / (path.stem.replace("img_emb", "metadata") + ".parquet")
        try:
            blocks += _read_npy(path, ExitStack())[0]
            parquet = pq.ParquetFile(beside)
            plain = plain_columns(parquet.schema_arrow)
            names = [name for name in columns if name in plain]
            check_parquet_size(parquet, beside, names)
            table = parquet.read(columns=names)
            text = {name: table[name].cast(pa.string()).to_pylist() for name in names}
        except (OSError, ValueError, pa.ArrowException) as error:
            raise RefusedFileError(
                f"{path} with {beside} cannot be read: {error}. Export the features again."
            ) from error
        if "image_path" not in text or table.num_rows != len(blocks[-1]):
            raise DataError(
                f"{beside} must have an image_path for each of the {len(blocks[-1])} rows of "
                f"{path}, but has {table.num_rows} rows with the columns "
                f"{', '.join(parquet.schema_arrow.names)}. Export the features again."
            )
        for name, values in columns.items():
            captions = text.get(name, [""] * table.num_rows)
            values += [(value or "")[:MAX_CAPTION] for value in captions]
    names = columns.pop("image_path")
    kept = {name: values for name, values in columns.items() if any(values)}
    return ForeignFeatures("clip-retrieval", folder, blocks, names, kept)


def _number(name: str) -> int:
    digits = re.search(r"(\d+)$", name)
    return int(digits[1]) if digits else 0


def _check(foreign: ForeignFeatures) -> None:
    shapes = [block.shape for block in foreign.blocks]
    if not shapes or any(len(shape) != 2 or shape[1] != shapes[0][-1] for shape in shapes):
        raise DataError(
            f"the features of {foreign.source} must be a matrix with one row for each image, got "
            f"the shapes {shapes or 'none'}. In thingsvision, set flatten_acts=True."
        )
    if any(block.dtype.kind != "f" for block in foreign.blocks):
        dtypes = ", ".join(sorted({str(block.dtype) for block in foreign.blocks}))
        raise DataError(
            f"the features of {foreign.source} must be floats, got {dtypes}. Convert them to "
            "float32."
        )
    if not foreign.n_rows:
        raise DataError(f"{foreign.source} contains no features. Export the features again.")
    if foreign.names is not None and len(foreign.names) != foreign.n_rows:
        raise DataError(
            f"{foreign.source} has {foreign.n_rows} rows of features but {len(foreign.names)} "
            "image names. Export the features again."
        )
