"""Which feature files a command means."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clipfeat.errors import UsageError

if TYPE_CHECKING:
    from clipfeat.features import FeatureSet

NO_GROUPS = "none"


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

    data = load(*chosen(paths))
    if layers is not None:
        data = data.narrowed(layers)
    if group_col == NO_GROUPS:
        return data.ungrouped()
    return data.grouped_by(group_col) if group_col else data
