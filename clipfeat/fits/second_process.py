"""Fits in a child process, while this process fits other classifiers.

scikit-learn-intelex holds Python's global lock during a fit. Boosted trees in another thread of the
same process wait for this lock after each tree, so they cannot use the second processor.
"""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from joblib.externals.loky.backend import get_context

from clipfeat.fits.cells import Cell, CellSpec, run_cell
from clipfeat.fits.limited import pickle_result
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.folds import TrainingData

Finished = SimpleQueue[tuple[int, bytes] | None]
"""Numbers of finished cells with their results from `pickle_result`, followed by None."""


@contextmanager
def second_process(
    waiting: deque[tuple[int, CellSpec]],
    data: TrainingData,
    options: FitOptions,
    n_classes: int,
    *,
    out_of_fold: bool,
    n_jobs: int,
    n_workers: int,
) -> Iterator[Finished]:
    """Fit waiting cells in a child process inside a ``with`` block.

    The child process takes cells from the left end of `waiting`, one more than it can fit at the
    time. The caller may take cells from the right end. If the child process ends early, the cells
    that it has not fitted are waiting again.

    Parameters
    ----------
    waiting : deque of (int, CellSpec)
        Cells with their numbers.
    data, options, n_classes, out_of_fold, n_jobs
        As in `clipfeat.fits.cells.run_cell`.
    n_workers : int
        Number of cells that the child process fits side by side.

    Yields
    ------
    SimpleQueue
        Finished cells. See `Finished`.
    """
    finished: Finished = SimpleQueue()
    context = get_context("loky")
    with TemporaryDirectory(prefix="clipfeat-") as folder:
        path = Path(folder) / "X.npy"
        np.save(path, data[0])
        here, there = context.Pipe()
        process = context.Process(target=_serve, args=(there,), daemon=True)
        process.start()
        there.close()
        settings = {"out_of_fold": out_of_fold, "n_jobs": n_jobs}
        setup = (path, data[1:], options, n_classes, settings, n_workers)

        def exchange() -> None:
            sent: dict[int, CellSpec] = {}
            with suppress(EOFError, OSError):
                here.send(setup)
                while True:
                    while waiting and len(sent) <= n_workers:
                        with suppress(IndexError):  # the caller took the last one
                            number, spec = waiting.popleft()
                            sent[number] = spec
                            here.send((number, spec))
                    if not sent:
                        break
                    number, message = here.recv()
                    del sent[number]
                    finished.put((number, message))
            waiting.extend(sent.items())
            finished.put(None)

        thread = threading.Thread(target=exchange, daemon=True)
        thread.start()
        try:
            yield finished
        finally:
            process.terminate()
            process.join()
            thread.join()
            here.close()


def _serve(pipe: Any) -> None:
    """Fit the cells that the parent process sends, until it closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and stops this process
    path, labels_and_groups, options, n_classes, settings, n_workers = pipe.recv()
    data = (np.load(path, mmap_mode="r"), *labels_and_groups)
    lock = threading.Lock()

    def timed(spec: CellSpec) -> Cell:
        begun = time.monotonic()
        cell = run_cell(spec, options, data, n_classes, **settings)
        return replace(cell, seconds=time.monotonic() - begun)

    def fit(number: int, spec: CellSpec) -> None:
        message = pickle_result(timed, spec)
        with lock:
            pipe.send((number, message))

    pool = ThreadPoolExecutor(n_workers)
    with suppress(EOFError, OSError):
        while True:
            pool.submit(fit, *pipe.recv())
    os._exit(0)  # without waiting for fits that are running
