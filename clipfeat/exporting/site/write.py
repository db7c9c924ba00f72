"""Writing the folder of a page that runs a model in the browser.

The page consists of static files, so it works from any host of static files, such as GitHub Pages.
It runs the ONNX graph of the model with onnxruntime-web, which clipfeat includes. The browser
decodes the images. Resizing and cropping are done by ``page/resize.js``, whose pixels equal those
of `clipfeat.encoders.preprocessing` bit for bit.
"""

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from clipfeat.errors import OutputExistsError, UsageError
from clipfeat.exporting.checking import Agreement
from clipfeat.exporting.notes import input_notes
from clipfeat.exporting.onnx_model import to_onnx
from clipfeat.images.memory import ImageInput
from clipfeat.model import Model
from clipfeat.prediction.predicting import as_model
from clipfeat.system.escaping import terminal_text
from clipfeat.system.files import replacing_contents
from clipfeat.system.locations import local_path
from clipfeat.system.progress import Report

PAGE = "index.html"
RUNTIME = "onnxruntime"
INTERPOLATIONS = ("bilinear", "bicubic")
"""Interpolations of ``page/resize.js``."""


def export_site(
    model: Model | str | Path,
    out: str | Path,
    *,
    check: ImageInput | None = None,
    weights: str | Path | Sequence[str | Path] = (),
    overwrite: bool = False,
    progress: bool | Report = True,
) -> Agreement:
    """Write a folder with a page that classifies images in the browser.

    Parameters
    ----------
    model, check, weights, progress
        As in `clipfeat.exporting.onnx_model.export_onnx`.
    out : path
        The new folder.
    overwrite : bool
        Write into a folder that is not empty. Files with the names of the page are replaced.

    Returns
    -------
    Agreement
        The comparison of the graph with the model.

    Raises
    ------
    OutputExistsError
        If the folder is not empty and `overwrite` is false.
    UsageError
        If the page cannot resize images as an encoder does. Also for the reasons of `export_onnx`.
    """
    folder = local_path(out)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not overwrite):
        raise OutputExistsError(
            f"{folder} is not an empty folder. Choose another -o, or add --overwrite"
        )
    fitted = as_model(model)
    for notes in input_notes(fitted.specs):
        if not notes.resized or notes.spec.interpolation not in INTERPOLATIONS:
            raise UsageError(
                f"the page cannot resize images as {notes.spec.title} does (crop "
                f"{notes.spec.crop_mode!r}, interpolation {notes.spec.interpolation!r}). Export an "
                ".onnx file instead"
            )
    exported = to_onnx(fitted, check=check, weights=weights, progress=progress)
    contents = {
        **dict(_page_files()),
        "model.onnx": exported.data,
        "model.json": json.dumps(_printable(exported.description), indent=1).encode(),
    }
    with replacing_contents(folder, PAGE) as new:
        (new / RUNTIME).mkdir()
        for name, data in contents.items():
            (new / name).write_bytes(data)
    return exported.agreement


def _page_files() -> Iterator[tuple[str, bytes]]:
    """Yield the names and the contents of the files that are the same for every model."""
    here = files("clipfeat.exporting.site")
    for file in _files_in(here / "page"):
        yield file.name, file.read_bytes()
    yield "web.css", (files("clipfeat.web") / "static" / "web.css").read_bytes()
    for file in _files_in(here / "onnxruntime_web"):
        data = file.read_bytes()
        if file.name.endswith(".gz"):
            data = gzip.decompress(data)
        if not file.name.endswith(".md"):
            yield f"{RUNTIME}/{file.name.removesuffix('.gz')}", data


def _files_in(folder: Traversable) -> list[Traversable]:
    return sorted((file for file in folder.iterdir() if file.is_file()), key=lambda file: file.name)


def _printable(value: Any) -> Any:
    """Escape control characters in all texts, because the page shows them."""
    if isinstance(value, str):
        return terminal_text(value)
    if isinstance(value, Mapping):
        return {name: _printable(one) for name, one in value.items()}
    return [_printable(one) for one in value] if isinstance(value, list) else value
