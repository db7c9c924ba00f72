"""The folder of a benchmark run, written by `save_run` and read by `load_run`.

- ``leaderboard.md``, ``.csv``, ``.tex`` and ``.json``: the leaderboard.
- ``rates.csv``: false positive rate of each source and recall of each generator, if there are any.
- ``scores.parquet`` and ``.csv``: all scores, with one row for each entry, fold and metric.
- ``probabilities.npz``: out-of-fold probabilities of every entry, with true classes, paths and
  groups.
- ``report.html`` and ``plots/``: the page.
- ``run.json``: protocol, encoders, call, options, library versions and data fingerprint. It is
  written last and marks the run as complete.
- ``command.json``: the command that began the run. The same command resumes it.
- ``cells/``: the results of finished fits (cells), from which an interrupted run resumes. The
  folder may be deleted.
"""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from clipfeat.errors import OutputExistsError, RefusedFileError
from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.evaluate.metrics import METRICS
from clipfeat.evaluate.plan import Trial
from clipfeat.evaluate.result import Benchmark, Outcome
from clipfeat.features.classes import positive_class, positive_title
from clipfeat.report.latex import leaderboard_latex, rates_latex
from clipfeat.report.markdown import leaderboard_markdown, pivot_markdown, rates_markdown
from clipfeat.report.page.write import PAGE, PLOTS_FOLDER, PageOptions, write_page
from clipfeat.report.remarks import balance_text, remarks
from clipfeat.report.robustness_rates import RATES
from clipfeat.report.run_shape import check_run_arrays, check_run_record, read_rows
from clipfeat.spec import EncoderSpec
from clipfeat.system.escaping import markdown_text, spreadsheet_csv
from clipfeat.system.files import (
    NEW_CONTENTS,
    check_links,
    publish,
    read_arrays,
    read_regular,
    replacing_contents,
)
from clipfeat.system.json_numbers import json_integer
from clipfeat.system.locations import local_path
from clipfeat.system.lock import locked
from clipfeat.system.optional_libraries import require
from clipfeat.system.progress import Phase, Report, silent

CELLS = "cells"
COMMAND = "command.json"
OLD_COMMAND = "asked.json"
"""Earlier name of `COMMAND`, which is still read."""
LOCK = ".lock"
RUN = "run.json"
OF_TRAINING = "benchmark"
"""Name of the run folder in a folder of `clipfeat.train`."""
PROBABILITIES = "probabilities.npz"
VERSION = 1
MAX_RECORD = 2**26
"""Maximum size of ``run.json`` in bytes."""


@contextmanager
def claimed_folder(
    folder: str | Path, command: Mapping[str, object], *, overwrite: bool = False
) -> Iterator[Path]:
    """Lock a folder for a run, and record its command. The same command can resume the run.

    Parameters
    ----------
    folder : path
        An empty or new folder, or the folder of a run that the same command began or finished.
    command : mapping
        The command, as JSON values.
    overwrite : bool
        Also use a folder that holds other files.

    Yields
    ------
    Path
        The folder of finished fits, to pass to `clipfeat.benchmark` as ``cache``.

    Raises
    ------
    OutputExistsError
        If `folder` is a file. If it holds other files, and `overwrite` is False. If a symbolic link
        in the folder leads outside it.
    LockedError
        If another process has claimed the folder.
    """
    for library in ("matplotlib", "pyarrow"):
        require(library, "writing a report")
    target = local_path(folder)
    _check_is_no_file(target)
    check_links(target, (CELLS, "plots", "benchmark", "audit"))
    record, earlier = target / COMMAND, target / OLD_COMMAND
    text = json.dumps(command, indent=1, sort_keys=True)
    with locked(target / LOCK, target):
        # A command that failed before its first fit left only this record.
        in_use = _holds_other_files(target, {COMMAND, OLD_COMMAND})
        is_same = any(_is_record_of(one, text.encode()) for one in (record, earlier))
        if in_use and not overwrite and not is_same:
            raise OutputExistsError(
                f"{folder} is not empty, and was not written by the same command with the same "
                "options. Choose another folder (-o) or add --overwrite."
            )
        publish(text.encode(), record)
        earlier.unlink(missing_ok=True)
        yield target / CELLS


def _is_record_of(record: Path, text: bytes) -> bool:
    """Return whether a file holds this record. The file may come from a stranger."""
    try:
        return read_regular(record, len(text)) == text
    except (OSError, RefusedFileError):
        return False


def save_run(
    run: Benchmark,
    folder: str | Path,
    *,
    board: Leaderboard | None = None,
    page: PageOptions | None = PageOptions(),
    overwrite: bool = False,
    report: Report = silent,
) -> list[Path]:
    """Write a run into a folder.

    Parameters
    ----------
    run : Benchmark
        The run.
    folder : path
        A new or empty folder, or a folder that holds only the files of `claimed_folder` and the
        cache of finished fits.
    board : Leaderboard, optional
        Leaderboard of the run; by default ``run.leaderboard()``.
    page : PageOptions, optional
        Further content of ``report.html``. None writes no page.
    overwrite : bool
        Also write into a folder that holds other files. Files with the same names are replaced
        after all new files are complete.
    report : callable
        Called with a `Phase` before the tables are written, and before each plot.

    Returns
    -------
    list of Path
        Paths of the tables, followed by the path of the page.

    Raises
    ------
    OutputExistsError
        If `folder` is a file. If it holds other files, and `overwrite` is False.
    StorageError
        If a file cannot be written.
    """
    target = local_path(folder)
    _check_is_no_file(target)
    if _holds_other_files(target, {COMMAND, CELLS}) and not overwrite:
        raise OutputExistsError(
            f"{folder} is not empty. Choose another folder, or pass overwrite=True."
        )
    report(Phase("writing tables"))
    board = run.leaderboard() if board is None else board
    lines = remarks(run, board, page.audit if page is not None else None)
    about = {
        **run.about,
        "classes": run.classes,
        "encoders": [spec.title for spec in run.specs],
        "fingerprints": [spec.fingerprint for spec in run.specs],
        "errors": dict(run.errors),
        "remarks": lines,
    }
    table = run.to_pandas()
    parquet = io.BytesIO()
    table.to_parquet(parquet, index=False)
    described = {
        "version": VERSION,
        "about": about,
        "specs": [json.loads(spec.to_json()) for spec in run.specs],
        "trials": [_trial_to_json(one) for one in run.outcomes],
    }
    files = {
        "scores.csv": spreadsheet_csv(table).encode(),
        "scores.parquet": parquet.getvalue(),
        PROBABILITIES: _arrays_file(run),
        RUN: json.dumps(described, indent=1).encode(),
    }
    with replacing_contents(target, RUN, optional=(RATES, PAGE, PLOTS_FOLDER)) as new:
        paths = _save_leaderboard(board, new, about)
        for name, content in files.items():
            publish(content, new / name)
            paths.append(new / name)
        if page is not None:
            paths.append(write_page(run, board, new, page, lines, report)[0])
    return [target / path.name for path in paths]


def _holds_other_files(target: Path, names: set[str]) -> bool:
    """Return whether a folder holds a file other than a lock and files with these names."""
    others = names | {LOCK}
    return target.exists() and any(
        path.name not in others and not path.name.startswith(NEW_CONTENTS)
        for path in target.iterdir()
    )


def _check_is_no_file(target: Path) -> None:
    if target.is_file():
        raise OutputExistsError(f"{target} is a file. Choose a folder.")


def _save_leaderboard(board: Leaderboard, target: Path, about: Mapping[str, Any]) -> list[Path]:
    """Write ``leaderboard.md``, ``.csv``, ``.tex`` and ``.json`` and return their paths."""
    positive = positive_class(about["classes"])
    title = f"{about.get('protocol', 'Benchmark')} on {about.get('images', '?')} images, "
    title += f"{balance_text(about)}{positive_title(about['classes'])}"
    title += f", by {METRICS[board.metric].title}"
    text = f"{markdown_text(title)}\n\n{leaderboard_markdown(board)}"
    text += "".join(f"\n{markdown_text(note)}\n" for note in board.notes)
    text += "".join(f"\n- {markdown_text(line)}\n" for line in about["remarks"])
    text += "".join(f"\n{pivot_markdown(pivot)}" for pivot in board.pivots)
    if board.rates is not None and board.entries:
        text += f"\n{rates_markdown(board.rates, board.entries[0])}"
    tex = leaderboard_latex(board, title)
    if board.rates is not None and board.entries:
        tex += f"\n{rates_latex(board.rates, board.entries[0])}"
    content = {
        "about": about,
        "notes": list(board.notes),
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
        "leaderboard.csv": spreadsheet_csv(board.to_pandas().assign(positive_class=positive)),
        "leaderboard.tex": tex,
        "leaderboard.json": json.dumps(content, indent=1),
    }
    if board.rates is not None:
        files[RATES] = spreadsheet_csv(board.rates.to_pandas())
    for name, written in files.items():
        publish(written.encode(), target / name)
    return [target / name for name in files]


def _without_nan(values: Mapping[str, Any]) -> dict[str, Any]:
    """Replace NaN by None, because JSON has no NaN."""
    return {name: None if np.isnan(value) else value for name, value in values.items()}


def _trial_to_json(outcome: Outcome) -> dict[str, Any]:
    trial = outcome.trial
    return {
        "folds": list(trial.splits), "seed": trial.seed, "trained_on": trial.trained_on,
        "n_train": trial.n_train, "tested_on": list(trial.tested_on),
        "entries": list(outcome.probabilities),
        "thresholds": {entry: list(of) for entry, of in outcome.thresholds.items()},
    }  # fmt: skip


def _arrays_file(run: Benchmark) -> bytes:
    """Pack the arrays of a run; ``p/0/svm`` holds the probabilities of svm in the first trial."""
    arrays: dict[str, Any] = {"y": run.y, "paths": run.paths, "files": run.files, "keys": run.keys}
    if run.groups is not None:
        arrays["groups"] = run.groups
    arrays |= {f"column/{name}": values for name, values in run.columns.items()}
    for number, outcome in enumerate(run.outcomes):
        arrays[f"fold/{number}"] = outcome.fold
        arrays |= {f"p/{number}/{entry}": p for entry, p in outcome.probabilities.items()}
        arrays |= {
            f"tested_on/{number}/{part}": mask for part, mask in outcome.trial.tested_on.items()
        }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def run_folder(folder: str | Path) -> Path:
    """Return a run folder, which may be given as the folder of `clipfeat.train` that contains it.

    A folder without a run is returned unchanged.
    """
    target = local_path(folder)
    of_training = target / OF_TRAINING
    is_training = not (target / RUN).exists() and (of_training / RUN).is_file()
    return of_training if is_training else target


def load_run(folder: str | Path) -> Benchmark:
    """Read a run that `save_run` wrote.

    Parameters
    ----------
    folder : path
        A run folder, or a folder of `clipfeat.train`.

    Returns
    -------
    Benchmark
        The run. Its trials keep the test rows of each fold, not the training rows.

    Raises
    ------
    RefusedFileError
        If the folder holds no run. If the run is damaged or of another format.
    """
    target = run_folder(folder)
    try:
        described = json.loads(read_regular(target / RUN, MAX_RECORD), parse_int=json_integer)
        return _run_from_files(described, read_arrays(target / PROBABILITIES), target)
    except FileNotFoundError as error:
        raise RefusedFileError(
            f"{target} holds no benchmark run ({error.filename} is missing). Write one with "
            "`clipfeat benchmark … -o FOLDER`."
        ) from error
    except RefusedFileError:
        raise
    except (
        OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError,
        ArithmeticError,
    ) as error:  # fmt: skip
        raise RefusedFileError(
            f"{target} holds a damaged benchmark run ({error!r}). Run the benchmark again."
        ) from error


def _run_from_files(
    described: Mapping[str, Any], arrays: Mapping[str, Any], target: Path
) -> Benchmark:
    if described["version"] != VERSION:
        raise RefusedFileError(
            f"{target} holds a run of format {described['version']}, but format {VERSION} is "
            "expected. Run the benchmark again."
        )
    check_run_record(described)
    check_run_arrays(described, arrays)
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
            {part: arrays[f"tested_on/{number}/{part}"] for part in one["tested_on"]},
        )
        probabilities = {entry: arrays[f"p/{number}/{entry}"] for entry in one["entries"]}
        outcomes.append(Outcome(trial, fold, probabilities, one["thresholds"]))
    about = dict(described["about"])
    return Benchmark(
        rows=read_rows(target / "scores.parquet"),
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
