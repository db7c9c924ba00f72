"""Running cells on features that are read in blocks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from clipfeat.evaluate.cells import Cell, Rows, Settings, run_cell
from clipfeat.evaluate.running import Runner
from clipfeat.model import dump_estimator
from clipfeat.splits import Split
from clipfeat.streaming import StreamedFeatures
from clipfeat.zoo.streamed import build_streamed
from clipfeat.zoo.streamed.classifier import released


@contextmanager
def streamed_runner(
    features: StreamedFeatures, data: Rows, n_classes: int, settings: Settings, *, n_jobs: int,
    **_: Any,
) -> Iterator[Runner]:  # fmt: skip
    """Give a function that runs one cell; see `clipfeat.evaluate.running.cell_runner`.

    Parameters
    ----------
    features : StreamedFeatures
        What the row numbers in `data` are of.
    data, n_classes, settings, n_jobs
        As there; nothing is searched for, kept or stopped.
    """

    def run(
        entry: str, name: str, columns: slice, split: Split, *, seed: int, turns: int,
        measure_size: bool,
    ) -> Cell:  # fmt: skip
        made: list[Any] = []

        def make() -> Any:
            made.append(
                build_streamed(
                    features, name, random_state=seed, n_jobs=n_jobs, balance=settings.balance,
                    calibrate=settings.calibrate, bag=settings.bag, accelerate=settings.accelerate,
                )
            )  # fmt: skip
            return made[-1]

        cell = run_cell(
            make, data, split, n_classes, seed=seed, inner=settings.inner, measure_size=False
        )
        if not measure_size:
            return cell
        size = len(dump_estimator(released(made[0], features.n_features)))
        return replace(cell, costs={**cell.costs, "model_bytes": float(size)})

    yield run
