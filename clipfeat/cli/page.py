"""The page of a benchmark run: what the run found, an audit of its images, and their pictures."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from clipfeat.cli.exits import print_error_line
from clipfeat.errors import ClipfeatError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from clipfeat.auditing.finding import Finding
    from clipfeat.evaluate.leaderboard import Leaderboard
    from clipfeat.evaluate.result import Benchmark
    from clipfeat.features import FeatureSet


def read_robustness(folder: Path | None) -> "pd.DataFrame | None":
    """Read what ``clipfeat robustness -o`` wrote.

    Raises
    ------
    UsageError
        If it is not there.
    """
    import pandas as pd

    if folder is None:
        return None
    table = folder / "robustness.csv"
    if not table.is_file():
        raise UsageError(f"{table} is not there: `clipfeat robustness … -o {folder}` writes it")
    return pd.read_csv(table)


def write_report(
    run: "Benchmark",
    board: "Leaderboard",
    folder: Path,
    *,
    features: "FeatureSet",
    files: Sequence[Path],
    remarks: Sequence[str],
    audit: bool,
    robustness: "pd.DataFrame | None",
    pictures: bool,
) -> list[Path]:
    """Write the page of a run; see `clipfeat.report.page.write_page`.

    Parameters
    ----------
    files : sequence of Path
        The feature files that were trained and tested on, for the audit and the pictures' folders.
    pictures : bool
        Whether mistakes are shown, and not only named.
    """
    from clipfeat.prediction.degrading import DEGRADATIONS
    from clipfeat.report.page import write_page
    from clipfeat.store import open_stored

    roots = []
    for file in files:
        with open_stored(file) as stored:
            roots.append(stored.newest.text("root"))
    return write_page(
        run,
        board,
        folder,
        features=features,
        remarks=remarks,
        findings=_audited(run, board.entries[0], files) if audit else (),
        robustness=robustness,
        degradations={name: row.title for name, row in DEGRADATIONS.items()},
        thumbnails=partial(_pictures, roots=roots) if pictures else None,
    )


def _pictures(paths: Sequence[str], roots: Sequence[str]) -> dict[str, bytes]:
    """Pictures below any of the folders; of a test's own paths, which are marked, the last's."""
    from clipfeat.features import TEST
    from clipfeat.images.thumbnails import thumbnails

    of_test = [path.removeprefix(TEST) for path in paths if path.startswith(TEST)]
    marked = {TEST + path: png for path, png in thumbnails(of_test, roots[-1:]).items()}
    return thumbnails([path for path in paths if not path.startswith(TEST)], roots) | marked


def _audited(run: "Benchmark", entry: str, files: Sequence[Path]) -> "Sequence[Finding]":
    """An audit of the feature files, with what the best entry said where it had seen all else."""
    from clipfeat.auditing.checking import audit

    first = run.outcomes[0]
    whole = len(run.outcomes) == 1 and entry in first.probabilities
    said = dict(zip(run.paths.tolist(), first.probabilities[entry], strict=True)) if whole else {}
    try:
        found = audit(list(files), judge=entry, said=said)
    except ClipfeatError as error:
        print_error_line(f"no audit for the page: {error}")
        return ()
    return found.findings
