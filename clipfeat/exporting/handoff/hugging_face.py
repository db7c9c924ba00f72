"""Folders for ``datasets.load_from_disk``, written with pyarrow only.

Such a folder has one file of Arrow's stream format, and two JSON files that describe its columns
and its state.
"""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import ClipfeatError, missing_extra
from clipfeat.exporting.handoff.rows import PREDICTED, HandoffRows
from clipfeat.images.readers import Reader
from clipfeat.system.files import replacing_contents
from clipfeat.system.progress import Phase, Report

DATA = "data-00000-of-00001.arrow"
STATE = "state.json"
BATCH_BYTES = 2**28
"""Bytes of images after which a batch ends. A batch of Arrow holds less than 2 GiB."""
UNKNOWN = -1
"""Label of an image without a class, as in datasets."""


def write(rows: HandoffRows, out: Path, report: Report) -> int:
    """Write a folder with the original image files, and return the number of images in it."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise missing_extra("writing Arrow files", "pyarrow", "parquet") from error
    features = rows.data.features
    texts = rows.texts({"image", "features", PREDICTED, *rows.probabilities})
    del texts["label"]  # stored as a number
    width = rows.X.shape[1]
    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "image": (
            pa.struct([("bytes", pa.binary()), ("path", pa.string())]), {"_type": "Image"},
        ),
        "label": (pa.int64(), {"names": list(features.classes), "_type": "ClassLabel"}),
        "features": (
            pa.list_(pa.float32(), width),
            {"feature": _value("float32"), "length": width, "_type": "Sequence"},
        ),
        **dict.fromkeys(texts, (pa.string(), _value("string"))),
    }  # fmt: skip
    values: dict[str, Any] = {**texts, "label": np.where(features.y < 0, UNKNOWN, features.y)}
    if rows.predictions is not None:
        kinds[PREDICTED] = pa.string(), _value("string")
        values[PREDICTED] = np.array(rows.predicted, dtype=object)
        kinds |= dict.fromkeys(rows.probabilities, (pa.float64(), _value("float64")))
        values |= rows.probabilities
    described = {name: about for name, (_, about) in kinds.items()}
    metadata = {"huggingface": json.dumps({"info": {"features": described}})}
    schema = pa.schema([(name, kind) for name, (kind, _) in kinds.items()], metadata=metadata)
    n_images = 0
    with replacing_contents(out, STATE) as new:
        with pa.OSFile(str(new / DATA), "wb") as sink, pa.ipc.new_stream(sink, schema) as stream:
            for batch, images in _batches(rows):
                report(Phase("writing", int(batch[0]), len(rows), "images"))
                n_images += sum(image is not None for image in images)
                columns = {name: column[batch] for name, column in values.items()}
                columns |= {"image": images, "features": list(rows.X[batch])}
                arrays = [pa.array(columns[name], type=kind) for name, (kind, _) in kinds.items()]
                stream.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
        info = {"citation": "", "description": "", "features": described, "homepage": "",
                "license": ""}  # fmt: skip
        (new / "dataset_info.json").write_text(json.dumps(info, indent=2), encoding="utf-8")
        state: dict[str, Any] = {
            "_data_files": [{"filename": DATA}],
            # datasets uses this as the key of its cache, so each export needs a new value.
            "_fingerprint": secrets.token_hex(8),
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_split": None,
        }
        (new / STATE).write_text(json.dumps(state, indent=2), encoding="utf-8")
    return n_images


def _batches(rows: HandoffRows) -> Iterator[tuple[NDArray[np.int64], list[Any]]]:
    """Yield row numbers with their images. Batches of large images have fewer rows."""
    for batch in rows.batches():
        start, images, size = 0, list[Any](), 0
        for number, row in enumerate(batch.tolist(), 1):
            images.append(_image(rows.reader(row)))
            size += len(images[-1]["bytes"]) if images[-1] else 0
            if size >= BATCH_BYTES or number == len(batch):
                yield batch[start:number], images
                start, images, size = number, [], 0


def _value(dtype: str) -> dict[str, str]:
    return {"dtype": dtype, "_type": "Value"}


def _image(reader: Reader | None) -> dict[str, Any] | None:
    """Return the file of an image, or None if it cannot be read."""
    if reader is None:
        return None
    try:
        return {"bytes": reader.read(), "path": None}
    except ClipfeatError:
        return None
