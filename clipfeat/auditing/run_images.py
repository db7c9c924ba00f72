"""Audit and thumbnails of the images of a benchmark run, for its page."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from warnings import warn

from clipfeat.auditing.checking import audit
from clipfeat.auditing.result import Audit
from clipfeat.errors import ClipfeatError, ClipfeatWarning
from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.evaluate.metrics import Probabilities
from clipfeat.evaluate.result import Benchmark
from clipfeat.features import TEST, order_classes
from clipfeat.images.manifest import TableColumns
from clipfeat.images.source_options import SourceOptions
from clipfeat.images.thumbnails import thumbnails
from clipfeat.store.image_folder import image_folder
from clipfeat.system.progress import Report, silent


def audit_run(
    run: Benchmark,
    board: Leaderboard,
    files: Sequence[str | Path],
    group_col: str = "",
    labels: Mapping[str, str] = MappingProxyType({}),
    report: Report = silent,
) -> Audit | None:
    """Audit the feature files of a run.

    The label check uses the out-of-fold probabilities of the best entry. For a run of several
    trials, the check fits a classifier instead.

    Parameters
    ----------
    run : Benchmark
        The run.
    board : Leaderboard
        Leaderboard of the run.
    files : sequence of path
        Feature files that the run trained and tested on.
    group_col : str
        Column with the groups of the run. If it is empty, the groups of the feature file are used.
    labels : mapping of str to str
        Labels of the run that differ from those of the feature files, by image path.
    report : callable
        Called with each `Phase` of the audit.

    Returns
    -------
    Audit or None
        None if the files cannot be audited.

    Warns
    -----
    ClipfeatWarning
        If the files cannot be audited.
    """
    entry = board.entries[0] if board.entries else ""
    probabilities: dict[str, Probabilities] = {}
    if len(run.outcomes) == 1 and entry in run.probabilities:
        # The audit reads the feature files, so its classes have the default order.
        order = [run.classes.index(name) for name in order_classes(run.classes)]
        p = run.probabilities[entry][:, order]
        probabilities = dict(zip(run.paths.tolist(), p, strict=True))
    groups: dict[str, str] = {}
    if run.groups is not None:
        groups = dict(zip(run.paths.tolist(), run.groups.tolist(), strict=True))
    try:
        return audit(
            list(files),
            inputs=SourceOptions(columns=TableColumns(group=group_col)),
            judge=entry,
            probabilities=probabilities,
            fold_groups=groups,
            labels=labels,
            progress=report,
        )
    except ClipfeatError as error:
        warn(f"the run has no audit: {error}", ClipfeatWarning, stacklevel=2)
        return None


def thumbnail_reader(
    files: Sequence[str | Path], images: Sequence[str | Path] = ()
) -> Callable[[Sequence[str]], Mapping[str, bytes]]:
    """Return a function that reads thumbnails of images by their paths in feature files.

    Parameters
    ----------
    files : sequence of path
        Feature files that the run trained and tested on. If the run has a separate test file, it is
        the last one. Without `images`, the test images of such a run are read only from the image
        folder that this last file records.
    images : sequence of path
        Folders of the images. By default, the folder that a feature file records is used, but only
        if the current user embedded the images on this computer.

    Returns
    -------
    callable
        Value of the field ``thumbnails`` of `clipfeat.report.page.PageOptions`.

    Raises
    ------
    UsageError
        If one of `images` is not a folder.
    """
    roots = [image_folder(files[0], folder) for folder in images] or list(map(image_folder, files))
    test_roots = roots if images else roots[-1:]

    def read(paths: Sequence[str]) -> dict[str, bytes]:
        test_paths = [path.removeprefix(TEST) for path in paths if path.startswith(TEST)]
        of_test = {TEST + path: png for path, png in _shown(test_paths, test_roots).items()}
        return _shown([path for path in paths if not path.startswith(TEST)], roots) | of_test

    return read


def _shown(paths: Sequence[str], roots: Sequence[str]) -> dict[str, bytes]:
    return thumbnails(paths, [root for root in roots if root])
