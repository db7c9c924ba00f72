"""A benchmark run as a folder of files, from which it can be read again.

``leaderboard.md``, ``.csv``, ``.json`` are for people; ``scores.parquet`` and ``.csv`` are the
tidy rows; ``probabilities.npz`` is what every entry said of every row, with the true classes, the
paths and the groups; ``run.json`` is how it was run. ``cells/`` keeps finished cells for a run that
was interrupted, and may be deleted.
"""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clipfeat.errors import RefusedFileError
from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.evaluate.plan import Trial
from clipfeat.evaluate.result import Benchmark, Outcome
from clipfeat.report.markdown import leaderboard_markdown, pivot_markdown
from clipfeat.spec import EncoderSpec
from clipfeat.system.files import publish, read_arrays
from clipfeat.system.locations import local_path

CELLS = "cells"
RUN = "run.json"
PROBABILITIES = "probabilities.npz"
VERSION = 1


def save_run(
    run: Benchmark,
    board: Leaderboard,
    folder: str | Path,
    remarks: Sequence[str] = (),
) -> list[Path]:
    """Write a run into a folder; its pieces are the module's docstring.

    Returns
    -------
    list of Path
        What was written.
    """
    target = local_path(folder)
    about = {
        **run.about,
        "classes": run.classes,
        "encoders": [spec.title for spec in run.specs],
        "fingerprints": [spec.fingerprint for spec in run.specs],
        "errors": dict(run.errors),
        "remarks": list(remarks),
    }
    target.mkdir(parents=True, exist_ok=True)
    (target / RUN).unlink(missing_ok=True)  # it comes last, and makes of the others a run
    paths = _save_leaderboard(board, target, about)
    table = run.to_pandas()
    parquet = io.BytesIO()
    table.to_parquet(parquet, index=False)
    described = {
        "version": VERSION,
        "about": about,
        "specs": [json.loads(spec.to_json()) for spec in run.specs],
        "trials": [_described(one) for one in run.outcomes],
    }
    files = {
        "scores.csv": table.to_csv(index=False).encode(),
        "scores.parquet": parquet.getvalue(),
        PROBABILITIES: _packed(run),
        RUN: json.dumps(described, indent=1).encode(),
    }
    for name, content in files.items():
        publish(content, target / name)
    return [*paths, *(target / name for name in files)]


def _save_leaderboard(board: Leaderboard, target: Path, about: Mapping[str, Any]) -> list[Path]:
    """Write ``leaderboard.md``, ``.csv`` and ``.json`` and return their paths."""
    text = leaderboard_markdown(board)
    text += "".join(f"\n- {line}\n" for line in about["remarks"])
    text += "".join(f"\n{pivot_markdown(pivot)}" for pivot in board.pivots)
    content = {
        "about": about,
        "entries": [
            {
                "classifier": entry,
                "mean": _without_nan(board.mean[entry]),
                "spread": _without_nan(board.spread[entry]),
                **_without_nan(board.standing_values(entry)),
            }
            for entry in board.entries
        ],
    }
    files = {
        "leaderboard.md": text,
        "leaderboard.csv": board.to_pandas().to_csv(index=False),
        "leaderboard.json": json.dumps(content, indent=1),
    }
    for name, written in files.items():
        publish(written.encode(), target / name)
    return [target / name for name in files]


def _without_nan(values: Mapping[str, Any]) -> dict[str, Any]:
    """Replace NaN by None, because JSON has no NaN."""
    return {name: None if np.isnan(value) else value for name, value in values.items()}


def _described(outcome: Outcome) -> dict[str, Any]:
    trial = outcome.trial
    return {
        "folds": list(trial.splits), "seed": trial.seed, "trained_on": trial.trained_on,
        "n_train": trial.n_train, "tested_on": list(trial.tested_on),
        "entries": list(outcome.probabilities),
        "thresholds": {entry: list(of) for entry, of in outcome.thresholds.items()},
    }  # fmt: skip


def _packed(run: Benchmark) -> bytes:
    """Arrays by name: ``p/0/svm`` is what svm said in the first trial."""
    arrays: dict[str, Any] = {"y": run.y, "paths": run.paths, "files": run.files, "keys": run.keys}
    if run.groups is not None:
        arrays["groups"] = run.groups
    arrays |= {f"column/{name}": values for name, values in run.columns.items()}
    for number, outcome in enumerate(run.outcomes):
        arrays[f"fold/{number}"] = outcome.fold
        arrays |= {f"p/{number}/{entry}": p for entry, p in outcome.probabilities.items()}
        arrays |= {
            f"tested_on/{number}/{piece}": mask for piece, mask in outcome.trial.tested_on.items()
        }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def load_run(folder: str | Path) -> Benchmark:
    """Read a run that `save_run` wrote.

    Returns
    -------
    Benchmark
        As it was, but that its trials know only which rows each fold tested.

    Raises
    ------
    RefusedFileError
        If the folder holds no run, or a damaged one.
    """
    target = local_path(folder)
    try:
        described = json.loads((target / RUN).read_text(encoding="utf-8"))
        return _restored(described, read_arrays(target / PROBABILITIES), target)
    except FileNotFoundError as error:
        raise RefusedFileError(
            f"{target} holds no benchmark run ({error.filename} is missing): "
            "`clipfeat benchmark … -o FOLDER` writes one"
        ) from error
    except RefusedFileError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusedFileError(f"{target} cannot be read as a benchmark run: {error!r}") from error


def _restored(described: Mapping[str, Any], arrays: Mapping[str, Any], target: Path) -> Benchmark:
    import pandas as pd

    if described["version"] != VERSION:
        raise RefusedFileError(
            f"{target} is a run of format {described['version']}; this clipfeat reads {VERSION}"
        )
    outcomes = []
    for number, one in enumerate(described["trials"]):
        fold = arrays[f"fold/{number}"]
        trial = Trial(
            {
                name: (np.empty(0, dtype=np.int64), np.flatnonzero(fold == i))
                for i, name in enumerate(one["folds"])
            },
            one["seed"],
            one["trained_on"],
            one["n_train"],
            {piece: arrays[f"tested_on/{number}/{piece}"] for piece in one["tested_on"]},
        )
        said = {entry: arrays[f"p/{number}/{entry}"] for entry in one["entries"]}
        outcomes.append(Outcome(trial, fold, said, one["thresholds"]))
    table = pd.read_parquet(target / "scores.parquet")
    tidy: list[dict[str, Any]] = [
        dict(zip(table.columns, row, strict=True)) for row in table.itertuples(index=False)
    ]
    about = dict(described["about"])
    return Benchmark(
        rows=[
            {**row, "n_train": None if pd.isna(row["n_train"]) else int(row["n_train"])}
            for row in tidy
        ],
        outcomes=outcomes,
        y=arrays["y"],
        classes=tuple(about["classes"]),
        paths=arrays["paths"],
        specs=tuple(EncoderSpec.from_json(json.dumps(spec)) for spec in described["specs"]),
        files=arrays["files"],
        keys=arrays["keys"],
        groups=arrays.get("groups"),
        columns={
            name.removeprefix("column/"): values
            for name, values in arrays.items()
            if name.startswith("column/")
        },
        errors=about["errors"],
        about=about,
    )  # fmt: skip
