"""Which feature files a command means."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from clipfeat.errors import UsageError

if TYPE_CHECKING:
    from clipfeat.features import FeatureSet
    from clipfeat.store.streaming import StreamedFeatures

NO_GROUPS = "none"

Features = TypeVar("Features", "FeatureSet", "StreamedFeatures")


def chosen(paths: Sequence[Path]) -> list[Path]:
    """The named feature files; where none is, the only one of this folder, which is then named.

    Raises
    ------
    UsageError
        If none is named and there is not exactly one here.
    """
    from clipfeat.store import feature_files_in

    if paths:
        return list(paths)
    here = feature_files_in(Path())
    if not here:
        raise UsageError(
            "no feature file is named and none is in this folder: make one by "
            "`clipfeat embed images/ out.h5`"
        )
    if len(here) > 1:
        names = ", ".join(path.name for path in here)
        raise UsageError(f"no feature file is named and this folder has several: {names}")
    print(f"using {here[0]}, the only feature file here")
    return here


def asked_for(paths: Sequence[Path], layers: str | None, group_col: str) -> "FeatureSet":
    """Load feature files, with the layers and the groups that the flags name."""
    from clipfeat.store import load

    return flagged(load(*chosen(paths)), layers, group_col)


@contextmanager
def to_fit(
    paths: Sequence[Path], layers: str | None, group_col: str, *, clf: str, tune: bool,
    out_of_core: bool | None, engine: str,
) -> "Iterator[FeatureSet | StreamedFeatures]":  # fmt: skip
    """Load feature files as `asked_for` does, or open one to be read in blocks, and say why."""
    from clipfeat.cli.console import pass_lines
    from clipfeat.cli.exits import say
    from clipfeat.fits.out_of_core import pick_out_of_core
    from clipfeat.store import load
    from clipfeat.store.streaming import stream

    files = chosen(paths)
    streamed, why = pick_out_of_core(files, clf, tune=tune, requested=out_of_core, engine=engine)
    if why:
        say(why)
    if not streamed:
        yield flagged(load(*files), layers, group_col)
        return
    with stream(files[0], progress=pass_lines()) as found:
        yield flagged(found, layers, group_col)


def flagged(data: Features, layers: str | None, group_col: str) -> Features:
    """The layers and the groups that the flags name."""
    if layers is not None:
        data = data.narrowed(layers)
    if group_col == NO_GROUPS:
        return data.ungrouped()
    return data.grouped_by(group_col) if group_col else data
