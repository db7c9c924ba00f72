"""Running cells: taken from the disk where they are finished, stopped where their time is over."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from clipfeat.errors import DataError
from clipfeat.evaluate.cells import Cell, Rows, Settings, run_entry
from clipfeat.evaluate.keeping import cell_key, digest_of, read_cell, write_cell
from clipfeat.evaluate.limited import one_process
from clipfeat.splits import Split

GRACE = 1.1
"""How far over its limit an entry may be before it is stopped: searches end near it."""

WARM_UP = 120.0
"""Seconds in which a classifier's libraries must be loaded."""

Runner = Callable[..., Cell]


@contextmanager
def cell_runner(
    data: Rows,
    n_classes: int,
    settings: Settings,
    *,
    n_jobs: int,
    time_limit: float | None = None,
    together: bool = False,
    keep: Path | None = None,
) -> Iterator[Runner]:
    """Give a function that runs one cell.

    Parameters
    ----------
    data : tuple
        X, y and groups of all rows.
    n_classes : int
        Labels are 0 to n_classes - 1.
    settings : Settings
        What is asked of every classifier.
    n_jobs : int
        Threads.
    time_limit : float, optional
        Seconds for all cells of one entry; what takes longer is stopped, for which cells run in a
        process of their own.
    together : bool
        Whether these are the seconds of all entries together.
    keep : Path, optional
        Where finished cells are.

    Yields
    ------
    callable
        ``run(entry, name, columns, split, *, seed, turns, measure_size)``, `turns` being the cells
        for which the time must do, this one included. Raises `DataError` if its time is over.
    """
    used: dict[str, float] = defaultdict(float)
    of_data = "" if keep is None else digest_of(data)
    with ExitStack() as stack:
        apart = None
        if time_limit is not None:
            folder = stack.enter_context(TemporaryDirectory(prefix="clipfeat-"))
            path = Path(folder) / "X.npy"
            np.save(path, data[0])
            apart = stack.enter_context(one_process())

        def run(
            entry: str, name: str, columns: slice, split: Split, *, seed: int, turns: int,
            measure_size: bool,
        ) -> Cell:  # fmt: skip
            clock = "" if together else entry
            asked = {"name": name, "columns": [columns.start, columns.stop], "seed": seed,
                     "limit": time_limit, "size": measure_size, **asdict(settings)}  # fmt: skip
            key = "" if keep is None else cell_key(of_data, split, asked)
            if keep is not None and (kept := read_cell(keep, key)) is not None:
                used[clock] += kept.seconds  # as if it had been fitted now
                return kept
            how: dict[str, Any] = {"seed": seed, "n_jobs": n_jobs, "measure_size": measure_size}
            if time_limit is not None:
                how["seconds"] = max(time_limit - used[clock], 0.0) / turns
            if apart is not None:
                with suppress(TimeoutError, DataError):  # its own cell will say it
                    apart(WARM_UP, _get_ready, name)
            begun = time.monotonic()
            try:
                if apart is None or time_limit is None:
                    rows = (data[0][:, columns], *data[1:])
                    cell = run_entry(name, settings, rows, split, n_classes, **how)
                else:
                    left = GRACE * time_limit - used[clock]
                    cell = apart(
                        left, _from_file, path, columns, data[1:], name, settings, split,
                        n_classes, how,
                    )  # fmt: skip
            except TimeoutError:
                raise DataError(
                    f"stopped: it takes longer than the {time_limit:g} s of --time-limit"
                ) from None
            finally:
                took = time.monotonic() - begun
                used[clock] += took
            cell = replace(cell, seconds=took)
            if keep is not None:
                write_cell(cell, keep, key)
            return cell

        yield run


@cache
def _get_ready(name: str) -> None:
    """Fit on next to nothing, so that importing what is needed is no part of the time."""
    rows = np.arange(20)
    X, y = np.eye(20, 4, dtype=np.float32), rows % 2
    with suppress(Exception):
        run_entry(name, Settings(), (X, y, None), (rows, rows), 2, seed=0, n_jobs=1,
                      measure_size=True)  # fmt: skip


def _from_file(
    path: Path, columns: slice, others: Any, name: str, settings: Settings, split: Split,
    n_classes: int, how: dict[str, Any],
) -> Cell:  # fmt: skip
    """`run_entry` in another process, on features that it maps from a file."""
    X = np.load(path, mmap_mode="r")[:, columns]
    return run_entry(name, settings, (X, *others), split, n_classes, **how)
