"""Features for other programs: Embedding Atlas, FiftyOne and Hugging Face datasets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clipfeat.errors import OutputExistsError, UsageError, unknown_name
from clipfeat.exporting.handoff import atlas, fiftyone, hugging_face
from clipfeat.exporting.handoff.rows import HandoffRows, open_rows
from clipfeat.system.files import is_taken
from clipfeat.system.locations import local_path
from clipfeat.system.progress import Phase, Report, reporting


@dataclass(frozen=True)
class HandoffFormat:
    """A format that another program reads.

    Parameters
    ----------
    write : callable
        Function ``(rows, path, report)`` that writes a file or a folder, and returns the number of
        images in it.
    suffix : str
        Suffix of the file. Empty for a folder.
    next_step : str
        Command or code that opens the output, with ``{}`` for its path.
    """

    write: Callable[[HandoffRows, Path, Report], int]
    suffix: str
    next_step: str


FORMATS: Mapping[str, HandoffFormat] = {
    "atlas": HandoffFormat(atlas.write, ".parquet", atlas.NEXT_STEP),
    "fiftyone": HandoffFormat(fiftyone.write, "", "python {}/load.py"),
    "datasets": HandoffFormat(hugging_face.write, "", "datasets.load_from_disk('{}')"),
}
"""Formats by name."""


@dataclass(frozen=True)
class Handoff:
    """Summary of the rows that were written for another program.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    n_images : int
        Number of rows whose image was found.
    next_step : str
        Command or code that opens the output.
    """

    n_rows: int
    n_images: int
    next_step: str


def hand_off(
    features: str | Path,
    out: str | Path,
    name: str,
    *,
    images: Sequence[str | Path] = (),
    run: str | Path | None = None,
    overwrite: bool = False,
    progress: bool | Report = True,
) -> Handoff:
    """Write the rows of a feature file for another program, one row for each image file.

    Parameters
    ----------
    features : path
        The feature file.
    out : path
        The new file or folder.
    name : str
        Name of a format in `FORMATS`.
    images : sequence of path
        Folders of the images. By default, the folder that the feature file records is used, but
        only if the same user embedded the images on this computer.
    run : path, optional
        Folder written by ``clipfeat benchmark -o``. The out-of-fold predictions of its best entry
        are added.
    overwrite : bool
        Replace an existing file, or write into a folder that is not empty.
    progress : bool or callable
        As in `clipfeat.predict`.

    Raises
    ------
    UnknownNameError
        If there is no such format.
    UsageError
        If the suffix of `out` does not fit the format, or if the format needs images that are not
        found.
    OutputExistsError
        If `out` exists and `overwrite` is false.
    RefusedFileError
        If the feature file or the run is missing or damaged.
    DataError
        If no image of the run is in the feature file.
    """
    if name not in FORMATS:
        raise unknown_name("export format", name, FORMATS)
    chosen, target = FORMATS[name], local_path(out)
    if target.suffix.lower() != chosen.suffix:
        wanted = f"a {chosen.suffix} file" if chosen.suffix else "a folder, without a suffix"
        raise UsageError(f"--format {name} writes {wanted}, got {target}. Choose another -o")
    in_use = any(target.iterdir()) if target.is_dir() else is_taken(target)
    if in_use and (not overwrite or target.is_dir() == bool(chosen.suffix)):
        raise OutputExistsError(f"{target} exists. Choose another -o, or add --overwrite")
    with reporting(progress) as report:
        report(Phase("loading"))
        rows = open_rows(features, images, run, report=report)
        target.parent.mkdir(parents=True, exist_ok=True)
        n_images = chosen.write(rows, target, report)
    return Handoff(len(rows), n_images, chosen.next_step.format(target))
