"""Runs of cells, with a cache, a time limit or a Ray cluster.

A cell is one classifier that is fitted and scored on one split. A trial is a list of splits, such
as the folds of one cross-validation. By default, the cells run in this process. Boosted trees are
fitted side by side and share the threads. The other cells run one after the other with all threads.
With a time limit, the cells run in a child process. On a Ray cluster, they run in parallel.
"""

import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import joblib
import numpy as np

from clipfeat.errors import DataError, StorageError
from clipfeat.fits.cache import CellCache, data_digest
from clipfeat.fits.cells import Cell, CellSpec, run_cell
from clipfeat.fits.fit_resources import FitResources
from clipfeat.fits.limited import one_process
from clipfeat.fits.on_ray import Executor
from clipfeat.zoo import classifiers, pick_threads
from clipfeat.zoo.acceleration import pick_device
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.folds import Split, TrainingData

GRACE = 1.1
"""A cell is stopped after this many times the time limit. A parameter search ends before that,
near the time limit."""

WARM_UP = 120.0
"""Time limit in seconds for the import of a classifier's libraries."""

SIDE_BY_SIDE = 100_000_000
"""Largest number of values (rows times columns) of all cells that run side by side. Each of these
cells holds a copy of its training rows, and runs to its end after Ctrl-C."""

NO_ROWS: Split = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))

Result = Cell | Exception

RunCell = Callable[..., Cell]
"""A function like `clipfeat.fits.cells.run_cell`."""


def run_cells(
    specs: Sequence[CellSpec],
    data: TrainingData,
    n_classes: int,
    options: FitOptions,
    resources: FitResources,
    *,
    out_of_fold: bool = False,
    together: bool = False,
    cache: Path | None = None,
    executor: Executor | None = None,
    run: RunCell | None = None,
) -> Generator[tuple[int, Result], None, None]:
    """Run the cells that are not cached yet.

    Parameters
    ----------
    specs : sequence of CellSpec
        Specifications of the cells.
    data : (X, y, groups)
        All rows.
    n_classes : int
        Number of classes. Labels are 0 to n_classes - 1.
    options : FitOptions
        Options of all cells.
    resources : FitResources
        Threads of each cell, and the time limit. All cells of an entry share the limit. An entry is
        a classifier on the features of one encoder. With a time limit, the cells run in a child
        process, which is stopped after the limit. `executor` decides whether the cells run on Ray.
    out_of_fold : bool
        Also predict the training rows of each cell out of fold.
    together : bool
        Apply one time limit to all entries together, instead of one to each entry.
    cache : Path, optional
        Folder for finished cells. None does not cache them.
    executor : callable, optional
        Executor on a Ray cluster, from `clipfeat.fits.on_ray.ray_executor`. None runs the cells on
        this machine.
    run : callable, optional
        Function that replaces `clipfeat.fits.cells.run_cell` on this machine.

    Yields
    ------
    (int, Cell or Exception)
        Index of each cell and its result, in order of completion. The result of a failed cell is
        its exception. On this machine, the later cells of the same entry and trial are then not
        fitted, and their results are the same exception.

    Raises
    ------
    StorageError
        If a finished cell cannot be written.
    """
    n_jobs, time_limit = resources.n_jobs, resources.time_limit
    if executor is None:
        n_threads = pick_threads(n_jobs, data[0].size)
        at_once: Sequence[int] = ()
        if time_limit is None and run is None:
            at_once = _boosted(specs, options)
        with cell_runner(
            data, n_classes, options, out_of_fold=out_of_fold, n_jobs=n_threads,
            time_limit=time_limit, together=together, cache=cache, run=run,
        ) as run_one:  # fmt: skip
            yield from _on_this_machine(run_one, specs, at_once, n_threads, data[0].size)
        return
    cells = _cache(cache, data, options, out_of_fold, time_limit)
    left = []
    for number, spec in enumerate(specs):
        cached = None if cells is None else cells.read(spec)
        if cached is None:
            left.append(number)
        else:
            yield number, cached
    # The row numbers of the splits are shared like the features, so that each task stays small.
    splits = list({id(specs[number].split): specs[number].split for number in left}.values())
    indices = {id(split): index for index, split in enumerate(splits)}
    pieces = [
        (indices[id(specs[number].split)], replace(specs[number], split=NO_ROWS), options,
         n_classes, out_of_fold, n_jobs or 1)
        for number in left
    ]  # fmt: skip
    for index, result in executor(_on_shared_rows, (*data, splits), pieces) if left else ():
        if isinstance(result, StorageError):
            raise result
        if cells is not None and isinstance(result, Cell):
            cells.write(result, specs[left[index]])
        yield left[index], result


def _cache(
    folder: Path | None,
    data: TrainingData,
    options: FitOptions,
    out_of_fold: bool,
    time_limit: float | None,
) -> CellCache | None:
    if folder is None:
        return None
    return CellCache(folder, data_digest(data), options, out_of_fold, time_limit)


def _on_shared_rows(
    X: Any, y: Any, groups: Any, splits: Sequence[Split], index: int, spec: CellSpec,
    options: FitOptions, n_classes: int, out_of_fold: bool, n_jobs: int,
) -> Cell:  # fmt: skip
    """Run one cell on a Ray worker, on the rows that all workers share."""
    begun = time.monotonic()
    cell = run_cell(
        replace(spec, split=splits[index]), options, (X, y, groups), n_classes,
        out_of_fold=out_of_fold, n_jobs=n_jobs,
    )  # fmt: skip
    return replace(cell, seconds=time.monotonic() - begun)


def _boosted(specs: Sequence[CellSpec], options: FitOptions) -> list[int]:
    """Return the indices of the cells that may run side by side."""
    if options.tune or pick_device(options.accelerate) != "cpu":
        return []
    rows = classifiers()
    return [
        number
        for number, spec in enumerate(specs)
        if spec.name in rows and rows[spec.name].side_by_side
    ]


def _on_this_machine(
    run_one: Callable[..., Cell],
    specs: Sequence[CellSpec],
    side_by_side: Sequence[int],
    n_jobs: int,
    n_values: int,
) -> Iterator[tuple[int, Result]]:
    """Run some cells side by side, then the other cells in order with all threads.

    Threads of one boosted fit wait for each other many times per tree. On a busy machine with two
    cores, a fit of ``lgbm`` on 2,700 × 1,280 values took 10 s with one thread, and 28 to 58 s with
    two. The other libraries set the number of threads for the whole process.
    """
    failed: dict[tuple[int, str], Exception] = {}

    def result_of(number: int, n_threads: int = n_jobs) -> tuple[int, Result]:
        spec = specs[number]
        key = spec.trial, spec.entry
        if key not in failed:
            try:
                return number, run_one(spec, n_threads)
            except StorageError:
                raise
            except Exception as error:
                # A classifier may come from another package and raise any exception. The other
                # entries still run.
                failed[key] = error
        return number, failed[key]

    n_threads = joblib.effective_n_jobs(n_jobs)
    n_workers = min(n_threads, len(side_by_side), SIDE_BY_SIDE // max(n_values, 1))
    if n_workers < 2:
        side_by_side = ()
    else:
        # `catch_warnings` restores the filters, which threads that use it may restore out of order.
        with warnings.catch_warnings(), ThreadPoolExecutor(n_workers) as pool:
            futures = [pool.submit(result_of, i, n_threads // n_workers) for i in side_by_side]
            try:
                for future in as_completed(futures):
                    yield future.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
    for number in sorted({*range(len(specs))} - {*side_by_side}):
        yield result_of(number)


@contextmanager
def cell_runner(
    data: TrainingData,
    n_classes: int,
    options: FitOptions,
    *,
    out_of_fold: bool,
    n_jobs: int,
    time_limit: float | None = None,
    together: bool = False,
    cache: Path | None = None,
    run: RunCell | None = None,
) -> Iterator[Callable[..., Cell]]:
    """Provide a function that runs one cell on this machine.

    Parameters
    ----------
    data, n_classes, options, out_of_fold, together, cache, run
        As in `run_cells`.
    n_jobs : int
        Number of threads.
    time_limit : float, optional
        Time limit in seconds. See `run_cells`.

    Yields
    ------
    callable
        Function that takes a `CellSpec` and returns its `Cell`. A second argument replaces
        `n_jobs`. The function raises `DataError` after the time limit. If the fit fails, it raises
        the exception of the fit.
    """
    run = run or run_cell
    used: dict[str, float] = defaultdict(float)
    cells = _cache(cache, data, options, out_of_fold, time_limit)
    with ExitStack() as stack:
        in_child = None
        if time_limit is not None:
            folder = stack.enter_context(TemporaryDirectory(prefix="clipfeat-"))
            path = Path(folder) / "X.npy"
            np.save(path, data[0])
            in_child = stack.enter_context(one_process())

        def run_one(spec: CellSpec, n_threads: int = n_jobs) -> Cell:
            clock = "" if together else spec.entry
            if cells is not None and (cached := cells.read(spec)) is not None:
                used[clock] += cached.seconds  # resuming a run does not extend its time limit
                return cached
            settings: dict[str, Any] = {"out_of_fold": out_of_fold, "n_jobs": n_threads}
            if time_limit is not None:
                settings["seconds"] = max(time_limit - used[clock], 0.0) / spec.n_left
            if in_child is not None:
                with suppress(TimeoutError, DataError):  # the fit of the cell raises it again
                    in_child(WARM_UP, _import_libraries, spec.name)
            begun = time.monotonic()
            try:
                if in_child is None or time_limit is None:
                    cell = run(spec, options, data, n_classes, **settings)
                else:
                    cell = in_child(
                        GRACE * time_limit - used[clock], _from_file, path, data[1:], spec,
                        options, n_classes, settings,
                    )  # fmt: skip
            except TimeoutError:
                raise DataError(
                    f"the fit was stopped after the time limit of {time_limit:g} s. Raise "
                    "--time-limit"
                ) from None
            finally:
                seconds = time.monotonic() - begun
                used[clock] += seconds
            cell = replace(cell, seconds=seconds)
            if cells is not None:
                cells.write(cell, spec)
            return cell

        yield run_one


@cache
def _import_libraries(name: str) -> None:
    """Fit a classifier on 20 rows to import its libraries, before the time limit starts."""
    rows = np.arange(20)
    X, y = np.eye(20, 4, dtype=np.float32), rows % 2
    spec = CellSpec(0, "", name, name, slice(None), (rows, rows), 0, 1, True)
    with suppress(Exception):
        run_cell(spec, FitOptions(), (X, y, None), 2, out_of_fold=False, n_jobs=1)


def _from_file(
    path: Path, labels_and_groups: Any, spec: CellSpec, options: FitOptions, n_classes: int,
    settings: dict[str, Any],
) -> Cell:  # fmt: skip
    """Run a cell in a child process, on features in a memory-mapped file."""
    X = np.load(path, mmap_mode="r")
    return run_cell(spec, options, (X, *labels_and_groups), n_classes, **settings)
