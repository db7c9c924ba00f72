"""Feature files that a command reads."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from clipfeat.cli.exits import print_line
from clipfeat.errors import UsageError

if TYPE_CHECKING:
    from clipfeat.features import FeatureSet
    from clipfeat.store.streaming import StreamedFeatures

NO_GROUPS = "none"

Features = TypeVar("Features", "FeatureSet", "StreamedFeatures", "FeatureSet | StreamedFeatures")


def feature_files(paths: Sequence[Path]) -> list[Path]:
    """Return the given feature files, or the only feature file in the current directory.

    The name of a file in the current directory is printed.

    Raises
    ------
    UsageError
        If no file is given, and the current directory does not have exactly one feature file.
    """
    from clipfeat.store import feature_files_in

    if paths:
        return list(paths)
    here = feature_files_in(Path())
    if not here:
        raise UsageError(
            "no feature file is given, and the current directory has none. Create one with "
            "`clipfeat embed images/ out.h5`."
        )
    if len(here) > 1:
        names = ", ".join(path.name for path in here)
        raise UsageError(
            f"no feature file is given, and the current directory has several: {names}. Give the "
            "name of one."
        )
    print_line(f"using {here[0]}, the only feature file in the current directory")
    return here


def load_features(
    paths: Sequence[Path], test: Sequence[Path] | None, layers: str | None, group_col: str, *,
    group_duplicates: bool, merge_labels: bool, progress: bool,
) -> "tuple[FeatureSet, FeatureSet | None]":  # fmt: skip
    """Load the files of a benchmark and those of ``--test``, and select and group their rows."""
    from clipfeat.store import load
    from clipfeat.system.progress import Phase, Report, reporting

    def loaded(files: Sequence[Path], report: Report) -> "FeatureSet":
        features = load(*feature_files(files), merge_labels=merge_labels, progress=report)
        features = select_features(features, layers, group_col)
        return features.near_duplicates_grouped() if group_duplicates else features

    with reporting(progress) as report:
        report(Phase("loading"))
        data, test_data = loaded(paths, report), loaded(test, report) if test else None
    if merge_labels and test_data is not None:
        test_data = test_data.merged_labels(data.classes)
    return data, test_data


@contextmanager
def open_features(
    paths: Sequence[Path], layers: str | None, group_col: str, *, group_duplicates: bool,
    merge_labels: bool, clf: str, tune: bool, out_of_core: bool | None, engine: str,
    progress: bool,
) -> "Iterator[FeatureSet | StreamedFeatures]":  # fmt: skip
    """Load feature files for a fit, or open one file whose features are read in blocks."""
    from clipfeat.cli.exits import print_error_line
    from clipfeat.features import FeatureSet
    from clipfeat.fits.out_of_core import open_for_fit
    from clipfeat.system.progress import Phase, reporting

    files = feature_files(paths)
    with ExitStack() as stack:
        with reporting(progress) as report:
            report(Phase("loading"))
            opened_features = stack.enter_context(
                open_for_fit(
                    files, clf, tune=tune, requested=out_of_core, engine=engine,
                    merge_labels=merge_labels, notify=print_error_line, progress=report,
                )
            )  # fmt: skip
        features = select_features(opened_features, layers, group_col)
        if not group_duplicates:
            yield features
        elif isinstance(features, FeatureSet):
            yield features.near_duplicates_grouped()
        else:
            raise UsageError(
                "--group-duplicates needs the features in memory, but they are read in blocks. "
                "Pass --in-memory, or leave out --group-duplicates"
            )


def select_features(features: Features, layers: str | None, group_col: str) -> Features:
    """Select the layers of ``--layers`` and the groups of ``--group-col``."""
    if layers is not None:
        features = features.narrowed(layers)
    if group_col == NO_GROUPS:
        return features.ungrouped()
    return features.grouped_by(group_col) if group_col else features
