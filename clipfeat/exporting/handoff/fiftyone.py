"""A script and a JSON file for FiftyOne (https://docs.voxel51.com).

The JSON file has one sample for each image, as ``fiftyone.Sample.from_dict`` reads it. The script
does not depend on clipfeat. It reads the JSON file and the features beside it, so no name from the
feature file becomes code.
"""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from clipfeat.browsing.projection import MAX, pca_points
from clipfeat.errors import UsageError
from clipfeat.exporting.handoff.rows import HandoffRows
from clipfeat.images.readers import FileBytes
from clipfeat.system.files import replacing_contents
from clipfeat.system.progress import Phase, Report

SCRIPT = "load.py"
SAMPLES = "samples.json"


def write(rows: HandoffRows, out: Path, report: Report) -> int:
    """Write a folder, and return the number of samples in it."""
    report(Phase("projecting"))
    points = pca_points(rows.X) / MAX
    points[:, 1] = 1 - points[:, 1]  # the second axis of FiftyOne's map points up
    report(Phase("writing"))
    texts = rows.texts()
    samples, kept = [], []
    for row in range(len(rows)):
        reader = rows.reader(row)
        if isinstance(reader, FileBytes):
            samples.append(
                _sample(
                    rows, {name: str(values[row]) for name, values in texts.items()}, row, reader
                )
            )
            kept.append(row)
    if not samples:
        raise UsageError(
            "FiftyOne shows image files, and none of the images was found as a file. Pass their "
            "folder with --images, and unpack archives first"
        )
    with replacing_contents(out, SCRIPT) as new:
        described = {"name": out.name, "encoder": rows.data.features.specs[0].title}
        (new / SAMPLES).write_text(json.dumps({**described, "samples": samples}), encoding="utf-8")
        np.save(new / "features.npy", rows.X[kept])
        np.save(new / "points.npy", points[kept].astype(np.float32))
        script = files("clipfeat.exporting.handoff") / "fiftyone_script.txt"
        (new / SCRIPT).write_bytes(script.read_bytes())
    return len(samples)


def _sample(
    rows: HandoffRows, texts: dict[str, str], row: int, reader: FileBytes
) -> dict[str, Any]:
    sample: dict[str, Any] = {"filepath": str(Path(reader.file).absolute())}
    label, split = texts.pop("label"), texts.get("split")
    sample["tags"] = [split] if split else []
    if label:
        sample["ground_truth"] = {"_cls": "Classification", "label": label}
    predictions = rows.predictions
    if predictions is not None and predictions.predicted[row] >= 0:
        code = int(predictions.predicted[row])
        sample["prediction"] = {
            "_cls": "Classification",
            "label": predictions.classes[code],
            "confidence": float(predictions.p[row, code]),
        }
    sample["clipfeat"] = {name: value for name, value in texts.items() if value}
    return sample
