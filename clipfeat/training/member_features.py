"""Features of a training run: one feature file for each encoder and image size of the recipe."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from clipfeat.embedding.embed_report import EmbedReport
from clipfeat.embedding.pipeline import embed
from clipfeat.errors import DataError
from clipfeat.images.source import ImageSource
from clipfeat.images.source_options import SourceOptions
from clipfeat.system.locations import is_remote
from clipfeat.system.progress import Phase, Report
from clipfeat.training.recipe import Member


def embed_members(
    members: Sequence[Member],
    images: ImageSource,
    folder: Path,
    name: str,
    inputs: SourceOptions,
    report: Report,
    *,
    overwrite: bool,
) -> list[EmbedReport]:
    """Encode a source with several encoders, each into its own file in the folder of the run.

    The files belong to the run, so rows of images that are no longer in the source are removed.

    Parameters
    ----------
    members : sequence of Member
        The encoders.
    images : ImageSource
        The images.
    folder : Path
        Folder of the run.
    name : str
        Prefix of the file names, such as ``"features"``.
    inputs : SourceOptions
        Views, faces and frames.
    report : callable
        Called with each `Phase` of each encoder.
    overwrite : bool
        Whether to replace existing files.

    Returns
    -------
    list of EmbedReport
        One report for each member.

    Raises
    ------
    DataError
        If no image can be encoded.
    """
    # A table alone covers no folder. The root is added, so that rows of images that are no longer
    # listed are found and removed.
    if images.root and not is_remote(images.root):
        images = replace(images, places=(*images.places, images.root))
    embedded = []
    for member in members:
        path = folder / f"{name}-{member.title}.h5"

        def of_member(phase: Phase, title: str = f"{name} {member.title}") -> None:
            report(replace(phase, name=f"{title}, {phase.name}"))

        of_path = embed(
            images, path, encoder=member.encoder, options=member.options, inputs=inputs,
            overwrite=overwrite, prune=bool(images.root), progress=of_member,
        )  # fmt: skip
        if of_path.cause:
            raise DataError(f"no image could be encoded. {of_path.cause}")
        embedded.append(of_path)
    return embedded
