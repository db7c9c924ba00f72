"""Options for reading a source, shared by all entry points."""

from dataclasses import dataclass
from pathlib import Path

from clipfeat.images.faces.finder import FaceFinder
from clipfeat.images.manifest import TableColumns
from clipfeat.images.video.frames import FrameSampling


@dataclass(frozen=True)
class SourceOptions:
    """Options for reading a source.

    Parameters
    ----------
    labels : path, optional
        A table of labels.
    columns : TableColumns
        The columns of paths, labels and groups: in `labels` if given, else in the source's table.
    frames : FrameSampling
        The frames to take from a video.
    views : str or path, optional
        Augmentations, separated by commas, or a file that defines them; see
        `clipfeat.embedding.views`. Each adds one row per image.
    faces : FaceFinder, optional
        Encode faces instead of whole images; see `clipfeat.images.faces.open_finder`.
    """

    labels: str | Path | None = None
    columns: TableColumns = TableColumns()
    frames: FrameSampling = FrameSampling()
    views: str | Path | None = None
    faces: FaceFinder | None = None
