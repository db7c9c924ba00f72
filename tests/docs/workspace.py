"""The folder in which the blocks of a page run.

The images are patches of photographs, and copies of them by the simulated generators of
``clipfeat demo``.

==========================  =====================================================================
``images/``                 16 photographs in ``real`` and 32 generated images in ``fake``
``new/``, ``test/``         3 and 15 labelled images of other photographs, in ``real`` and ``fake``
``images.csv``              ``images/`` with the columns path, label, generator, group and split
``train.csv``               the same with the columns file, target, photographer and generator
``labels.csv``              ``new/`` with the columns path and label
``sample_submission.csv``   ``new/`` with the columns id and target, which is empty
``out.h5``, ``test.h5``     features of ``images.csv`` and ``test/``: efficientnet-lite0, 64 pixels
``clip.h5``                 features of ``images.csv`` by spectrum
``model.clipfeat``          logistic regression on ``out.h5``
``people/``, ``videos/``    two faces and four videos, in ``real`` and ``fake``
==========================  =====================================================================
"""

import csv
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image, ImageFilter

from clipfeat.cli.demo_images import make_simulated
from tests.docs.shell import run_clipfeat

GENERATORS = ("nearest", "transposed")


def make_images(folder: Path) -> None:
    """Write the images and their tables."""
    made = make_simulated(folder / "made", patches=2, new=3)
    with made.manifest.open(newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["generator"] in ("", *GENERATORS)]
    for row in rows:
        row["path"] = f"images/{row['path']}"
        target = folder / row["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder / "made" / row["path"], target)
    held_out = ("motorcycle", "retina")
    parts = [{**row, "split": "test" if row["group"] in held_out else "train"} for row in rows]
    write_table(folder / "images.csv", parts)
    names = {"path": "file", "label": "target", "group": "photographer", "generator": "generator"}
    write_table(
        folder / "train.csv", [{new: row[old] for old, new in names.items()} for row in rows]
    )
    new = []
    for path in sorted((folder / "made" / "new").rglob("*.png")):
        label, first = path.parent.name, "-00" in path.name
        if label == "fake" and not path.stem.endswith(GENERATORS):
            continue
        target = folder / ("new" if first and "rocket" in path.name else "test") / label / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
        if target.parts[-3] == "new":
            new.append({"path": f"{label}/{path.name}", "label": label})
    write_table(folder / "labels.csv", new)
    write_table(
        folder / "sample_submission.csv",
        [{"id": Path(row["path"]).stem, "target": ""} for row in new],
    )
    shutil.rmtree(folder / "made")


def make_people(folder: Path) -> None:
    """Write a face and a blurred copy of it, and videos of both if PyAV is installed."""
    face = Image.fromarray(skimage.data.astronaut()[0:224, 100:324])
    for label, image in (
        ("real", face),
        ("fake", face.filter(ImageFilter.GaussianBlur(2))),
    ):
        path = folder / "people" / label / "astronaut.png"
        path.parent.mkdir(parents=True)
        image.save(path)
        if find_spec("av"):
            from tests.examples.conftest import write_video

            for number in range(2):
                frames = [np.asarray(image.rotate(5 * number + angle)) for angle in range(4)]
                write_video(folder / "videos" / label / f"{number}.mp4", frames)


def write_table(path: Path, rows: list[dict[str, str]]) -> None:
    """Write a CSV file."""
    with path.open("w", newline="") as out:
        writer = csv.DictWriter(out, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def make_features() -> None:
    """Write the feature files and the model file into the current directory."""
    run_clipfeat(["embed", "images.csv", "out.h5"])
    run_clipfeat(["embed", "test/", "test.h5"])
    run_clipfeat(["embed", "images.csv", "clip.h5", "--encoder", "spectrum"])
    run_clipfeat(["fit", "out.h5", "--clf", "logreg", "--cv", "0"])
