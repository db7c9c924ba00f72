"""A benchmark run as a folder of files."""

from pathlib import Path

from clipfeat.evaluate.benchmark import Benchmark
from clipfeat.report.leaderboard import Leaderboard
from clipfeat.report.remarks import remarks


def save_run(run: Benchmark, board: Leaderboard, folder: str | Path) -> list[Path]:
    """Write a run's leaderboard, tidy scores and out-of-fold probabilities.

    Returns
    -------
    list of Path
        ``leaderboard.md``, ``.csv``, ``.json``, ``scores.csv`` and ``probabilities.npz``.
    """
    about = {
        **run.about,
        "classes": run.classes,
        "encoders": [spec.title for spec in run.specs],
        "fingerprints": [spec.fingerprint for spec in run.specs],
        "errors": dict(run.errors),
        "remarks": remarks(run, board.sort),
    }
    target = Path(folder)
    paths = board.save(target, about)
    scores, probabilities = target / "scores.csv", target / "probabilities.npz"
    run.to_pandas().to_csv(scores, index=False)
    run.save_probabilities(probabilities)
    return [*paths, scores, probabilities]
