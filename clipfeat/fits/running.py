"""Running cells: taken from the disk where they are finished, stopped where their time is over.

One after the other in this process, or in one of its own where there is a time limit, or at once on
a Ray cluster.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from clipfeat.errors import DataError, StorageError
from clipfeat.fits.cache import Keeper, digest_of
from clipfeat.fits.cells import Asked, Cell, Rows, Settings, run_entry
from clipfeat.fits.limited import one_process
from clipfeat.fits.on_ray import Spread
from clipfeat.zoo import pick_threads
from clipfeat.zoo.folds import Split

GRACE = 1.1
"""How far over its limit an entry may be before it is stopped: searches end near it."""

WARM_UP = 120.0
"""Seconds in which a classifier's libraries must be loaded."""

NO_ROWS: Split = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))

Answer = Cell | Exception

Runner = Callable[[Asked], Cell]


def run_cells(
    asked: Sequence[Asked],
    data: Rows,
    n_classes: int,
    settings: Settings,
    *,
    n_jobs: int | None,
    time_limit: float | None = None,
    together: bool = False,
    keep: Path | None = None,
    spread: Spread | None = None,
    runner: Callable[..., AbstractContextManager[Runner]] | None = None,
) -> Generator[tuple[int, Answer], None, None]:
    """Run cells that are not finished yet.

    Parameters
    ----------
    asked : sequence of Asked
        The cells.
    data : tuple
        X, y and groups of all rows.
    n_classes : int
        Labels are 0 to n_classes - 1.
    settings : Settings
        What is asked of every classifier.
    n_jobs : int, optional
        Threads of each cell; None is one for small data or on Ray, else all processors.
    time_limit : float, optional
        Seconds for all cells of one entry; what takes longer is stopped, for which cells run in a
        process of their own. Not on Ray.
    together : bool
        Whether these are the seconds of all entries together.
    keep : Path, optional
        Where finished cells are.
    spread : callable, optional
        Of `clipfeat.fits.on_ray.spreading`; None is one after the other, here.
    runner : callable, optional
        What runs a cell here, in place of `cell_runner`.

    Yields
    ------
    (int, Cell or Exception)
        The number of each cell among those asked for and what came of it, as they end. A cell that
        failed is the answer for what comes after it of the same entry and trial; it need not be
        fitted.

    Raises
    ------
    StorageError
        If the disk failed, as where a finished cell is to be kept.
    """
    if spread is None:
        with (runner or cell_runner)(
            data, n_classes, settings, n_jobs=pick_threads(n_jobs, data[0].size),
            time_limit=time_limit, together=together, keep=keep,
        ) as run:  # fmt: skip
            yield from _one_by_one(run, asked)
        return
    keeper = None if keep is None else Keeper(keep, digest_of(data), settings, time_limit)
    left = []
    for number, cell in enumerate(asked):
        kept = None if keeper is None else keeper.read(cell)
        if kept is None:
            left.append(number)
        else:
            yield number, kept
    # Row numbers are put beside the features once as well, and pieces of work stay small.
    splits = list({id(asked[number].split): asked[number].split for number in left}.values())
    places = {id(split): place for place, split in enumerate(splits)}
    pieces = [
        (places[id(asked[number].split)], replace(asked[number], split=NO_ROWS), settings,
         n_classes, n_jobs or 1)
        for number in left
    ]  # fmt: skip
    for at, answer in spread(_fit_shared, (*data, splits), pieces) if left else ():
        if isinstance(answer, StorageError):
            raise answer
        if keeper is not None and isinstance(answer, Cell):
            keeper.write(answer, asked[left[at]])
        yield left[at], answer


def _fit_shared(
    X: Any, y: Any, groups: Any, splits: Sequence[Split], place: int, cell: Asked,
    settings: Settings, n_classes: int, n_jobs: int,
) -> Cell:  # fmt: skip
    """One cell on a worker, which shares all rows with others."""
    begun = time.monotonic()
    fitted = run_entry(
        cell.name, settings, (X[:, cell.columns], y, groups), splits[place], n_classes,
        seed=cell.seed, n_jobs=n_jobs, measure_size=cell.measure_size,
    )  # fmt: skip
    return replace(fitted, seconds=time.monotonic() - begun)


def _one_by_one(run: Runner, asked: Sequence[Asked]) -> Iterator[tuple[int, Answer]]:
    failed: dict[tuple[int, str], Exception] = {}
    for number, cell in enumerate(asked):
        answer: Answer | None = failed.get((cell.trial, cell.entry))
        if answer is None:
            try:
                answer = run(cell)
            except StorageError:
                raise
            except Exception as error:
                # A classifier is anybody's code: what it raises is its own row's matter.
                answer = failed[cell.trial, cell.entry] = error
        yield number, answer


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
        From an `Asked` to its `Cell`. Raises `DataError` if its time is over.
    """
    used: dict[str, float] = defaultdict(float)
    keeper = None if keep is None else Keeper(keep, digest_of(data), settings, time_limit)
    with ExitStack() as stack:
        apart = None
        if time_limit is not None:
            folder = stack.enter_context(TemporaryDirectory(prefix="clipfeat-"))
            path = Path(folder) / "X.npy"
            np.save(path, data[0])
            apart = stack.enter_context(one_process())

        def run(cell: Asked) -> Cell:
            clock = "" if together else cell.entry
            if keeper is not None and (kept := keeper.read(cell)) is not None:
                used[clock] += kept.seconds  # as if it had been fitted now
                return kept
            how: dict[str, Any] = {
                "seed": cell.seed, "n_jobs": n_jobs, "measure_size": cell.measure_size,
            }  # fmt: skip
            if time_limit is not None:
                how["seconds"] = max(time_limit - used[clock], 0.0) / cell.turns
            if apart is not None:
                with suppress(TimeoutError, DataError):  # its own cell will say it
                    apart(WARM_UP, _get_ready, cell.name)
            begun = time.monotonic()
            try:
                if apart is None or time_limit is None:
                    rows = (data[0][:, cell.columns], *data[1:])
                    fitted = run_entry(cell.name, settings, rows, cell.split, n_classes, **how)
                else:
                    left = GRACE * time_limit - used[clock]
                    fitted = apart(
                        left, _from_file, path, cell.columns, data[1:], cell.name, settings,
                        cell.split, n_classes, how,
                    )  # fmt: skip
            except TimeoutError:
                raise DataError(
                    f"stopped: it takes longer than the {time_limit:g} s of --time-limit"
                ) from None
            finally:
                took = time.monotonic() - begun
                used[clock] += took
            fitted = replace(fitted, seconds=took)
            if keeper is not None:
                keeper.write(fitted, cell)
            return fitted

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
