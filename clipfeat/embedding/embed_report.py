"""Result of an embedding run, and the likeliest cause if all images failed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clipfeat.embedding.profile import Profile
from clipfeat.embedding.run import EmbedCounts
from clipfeat.features import Failure
from clipfeat.images.missing import likeliest_cause
from clipfeat.images.overview import SourceOverview
from clipfeat.images.record import record_path
from clipfeat.images.source import ImageSource
from clipfeat.spec import EncoderSpec
from clipfeat.system.escaping import terminal_text
from clipfeat.system.locations import is_remote


@dataclass(frozen=True, repr=False)
class EmbedReport:
    """Result of an embedding run.

    Parameters
    ----------
    path : Path
        The feature file.
    spec : EncoderSpec
        Identity of the encoder.
    progress : EmbedCounts
        Number of images by outcome, and seconds.
    n_rows : int
        Number of rows in the file.
    absent : int
        Number of rows in the file whose image is no longer in the source.
    labels : mapping of str to int
        Number of images with each label in the source. Images without a label are counted under
        ``""``.
    failures : sequence of Failure
        Images of the source that failed and have no row.
    profile : Profile
        Time profile of the run.
    chosen : str
        The precision that ``"auto"`` chose, with the reason. Empty if the precision was given.
    faceless : int
        Number of images that were encoded as a whole, because no face was detected in them.
    skipped : mapping of str to int
        Number of files of the source that are not images, by kind, such as ``".heic"``.
    root : str
        Folder to which the paths of the source are relative.
    is_root_chosen : bool
        Whether `root` was chosen among several folders: for a table, for several sources, or
        because the feature file holds images of another folder.
    cause : str
        If all images failed, the likeliest cause and its remedy.
    overview : SourceOverview, optional
        Layout, classes, generators and splits of the source.
    seconds : mapping of str to float
        Seconds of each phase of the run, such as ``"opening"`` and ``"encoding"``.
    """

    path: Path
    spec: EncoderSpec
    progress: EmbedCounts
    n_rows: int
    absent: int
    labels: Mapping[str, int]
    failures: Sequence[Failure]
    profile: Profile
    chosen: str
    faceless: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    root: str = ""
    is_root_chosen: bool = False
    cause: str = ""
    overview: SourceOverview | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        return terminal_text(
            f"EmbedReport({self.n_rows} rows in {self.path} by {self.spec.title}; "
            f"{self.progress.encoded} encoded, {self.progress.known} known, "
            f"{self.progress.failed} failed)"
        )

    def _repr_html_(self) -> str:
        """Return a card for notebooks with the labels and the failures."""
        from clipfeat.embedding.embed_report_html import embed_report_html

        return embed_report_html(self)


def chooses_root(images: ImageSource) -> bool:
    """Return whether clipfeat had to choose the root, as for a table or several sources."""
    return images.kind in {"", "table"} or len(images.places) > 1


def common_cause(images: ImageSource, failures: Sequence[Failure], *, is_table: bool) -> str:
    """Return the likeliest reason why all images failed, or an empty string if some have a row."""
    if len({record_path(failure.path) for failure in failures}) < len(images):
        return ""
    unreadable = [failure.path for failure in failures if not failure.key]
    cause = ""
    if len(unreadable) == len(failures) and images.root and not is_remote(images.root):
        cause = likeliest_cause(unreadable, images.root, is_table=is_table)
    ((message, count),) = Counter(failure.message for failure in failures).most_common(1)
    return cause or f"{count} of {len(failures)} errors are: {message}. Check the paths and files"
