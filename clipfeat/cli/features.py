"""Which feature files a command means."""

from collections.abc import Sequence
from pathlib import Path

from clipfeat.errors import UsageError


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
