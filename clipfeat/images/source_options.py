"""Options for reading a source, shared by all entry points, and a function that applies them."""

from dataclasses import dataclass
from pathlib import Path

from clipfeat.images import open_source
from clipfeat.images.class_globs import ClassGlobs
from clipfeat.images.faces.finder import FaceFinder
from clipfeat.images.manifest import TableColumns
from clipfeat.images.memory import ImageInput
from clipfeat.images.source import ImageSource
from clipfeat.images.video.frames import FrameSampling


@dataclass(frozen=True)
class SourceOptions:
    """Options for reading a source.

    Parameters
    ----------
    labels : path, optional
        Path of a table with the labels of the images.
    columns : TableColumns
        Names of the columns of paths, labels and groups. If `labels` is given, they are columns of
        that table. Otherwise, they are columns of the source.
    image_root : path, optional
        The folder to which the paths of a table are relative. See
        `clipfeat.images.image_root.root_of_table`.
    allow_remote : bool
        Whether a table, or a list on standard input, may name addresses outside its own folder. See
        `clipfeat.images.table_paths`.
    globs : ClassGlobs
        Patterns of the paths of photographs and of generated images, and the folder that names the
        generator. They replace the labels and the generators that the source gives.
    merge_labels : bool
        Whether to merge classes whose names differ only in capitals or spaces. Otherwise, such
        classes are an error.
    frames : FrameSampling
        The frames to take from a video.
    views : str or path, optional
        Names of views, separated by commas, or a file that defines views. A view is an augmented
        copy of an image, such as ``"hflip"``, and adds one row per image. See
        `clipfeat.embedding.views`.
    faces : FaceFinder, optional
        Finds faces, which are encoded instead of whole images. See
        `clipfeat.images.faces.open_finder`.
    """

    labels: str | Path | None = None
    columns: TableColumns = TableColumns()
    frames: FrameSampling = FrameSampling()
    views: str | Path | None = None
    faces: FaceFinder | None = None
    image_root: str | Path | None = None
    merge_labels: bool = False
    allow_remote: bool = False
    globs: ClassGlobs = ClassGlobs()


def open_inputs(source: ImageInput, inputs: SourceOptions) -> ImageSource:
    """List the images of a source. See `clipfeat.images.open_source`.

    A source that is already listed is returned unchanged. The caller may have changed its labels.
    """
    if isinstance(source, ImageSource):
        return source
    return open_source(
        source,
        labels=inputs.labels,
        columns=inputs.columns,
        image_root=inputs.image_root,
        allow_remote=inputs.allow_remote,
        globs=inputs.globs,
    )
