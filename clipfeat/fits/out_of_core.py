"""What differs between a fit in memory and one on features that are read in blocks."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from clipfeat.errors import UsageError
from clipfeat.features import FeatureSet
from clipfeat.fits.cells import Asked, Cell, Rows, Settings, run_cell
from clipfeat.fits.running import Runner
from clipfeat.model import Model, dump_estimator
from clipfeat.store.streaming import SHARE, StreamedFeatures, bytes_in_memory
from clipfeat.system.memory import available_memory
from clipfeat.zoo import parse_names, pick_threads
from clipfeat.zoo.recipe import build
from clipfeat.zoo.streamed import build_streamed, check_streamed
from clipfeat.zoo.streamed.classifier import released

GIB = 2**30


@dataclass(frozen=True)
class Place:
    """Where the features are that a model is fitted on, and what follows from it.

    Parameters
    ----------
    rows : FeatureSet
        The features, or the numbers by which they are looked up.
    n_values : int
        Numbers in all features.
    make : callable
        As `clipfeat.zoo.recipe.build`.
    runner : callable, optional
        As `clipfeat.fits.running.cell_runner`, where it is another.
    finish : callable
        From the model to one that takes features.
    engine : str
        As in `clipfeat.fit`.
    """

    rows: FeatureSet
    n_values: int
    make: Callable[..., Any] = build
    runner: Callable[..., AbstractContextManager[Runner]] | None = None
    finish: Callable[[Model], Model] = lambda model: model
    engine: str = "local"

    def threads(self, n_jobs: int | None) -> int | None:
        """Of a fit, where nobody said: see `clipfeat.zoo.pick_threads`; on Ray it is Ray's."""
        return pick_threads(n_jobs, self.n_values) if self.engine == "local" else n_jobs


def place_of(
    features: FeatureSet | StreamedFeatures, names: Sequence[str], *, tune: bool, engine: str
) -> Place:
    """In memory all is there at once; else classifiers see row numbers, and look them up in blocks.

    Raises
    ------
    UsageError
        If what is asked for needs all features at once, and they are not there.
    """
    if isinstance(features, FeatureSet):
        return Place(features, features.X.size, engine=engine)
    check_streamed(names, tune=tune, engine=engine)

    def finish(model: Model) -> Model:
        encoder = features.specs[0].title  # of which row numbers know nothing
        return replace(
            model,
            estimator=released(model.estimator, features.n_features),
            specs=features.specs,
            scores=tuple({**row, "encoder": encoder} for row in model.scores),
            about={**model.about, "out_of_core": True},
        )

    return Place(
        features.numbers,
        len(features) * features.n_features,
        partial(build_streamed, features),
        partial(streamed_runner, features),
        finish,
    )


def pick_place(
    paths: Sequence[str | Path],
    clf: str | Sequence[str],
    *,
    tune: bool,
    asked: bool | None,
    engine: str = "local",
) -> tuple[bool, str]:
    """Whether to fit out of core.

    Parameters
    ----------
    paths : sequence of path
        Feature files.
    clf : str or sequence of str
        As in `clipfeat.fit`.
    tune : bool
        Whether parameters are searched for.
    asked : bool, optional
        What somebody wants; None is out of core where the features as float32 take more than
        `clipfeat.store.streaming.SHARE` of the memory there is, and the classifiers can.
    engine : str
        As in `clipfeat.fit`.

    Returns
    -------
    out_of_core : bool
    why : str
        A sentence, where nobody asked and the features are that large; else empty.

    Raises
    ------
    UsageError
        If what was asked for cannot be, or the features are larger than the memory there is and
        cannot be read in blocks.
    """
    names = parse_names(clf)
    if asked is False:
        return False, ""
    needed, free = sum(map(bytes_in_memory, paths)), available_memory()
    if asked is None and needed <= SHARE * free:
        return False, ""
    try:
        if len(paths) > 1:
            raise UsageError(f"out of core takes one feature file, got {len(paths)}")
        check_streamed(names, tune=tune, engine=engine)
    except UsageError as error:
        if asked:
            raise
        sizes = f"the features take {needed / GIB:.3g} GiB of the {free / GIB:.3g} available"
        if needed > free:
            raise UsageError(f"{sizes}, and {error}") from error
        return False, f"{sizes}; in memory all the same: {error}"
    why = (
        f"the features take {needed / GIB:.3g} GiB as float32, more than {SHARE:.0%} of the "
        f"{free / GIB:.3g} available: they are read in blocks (--in-memory loads them)"
    )
    return True, "" if asked else why


@contextmanager
def streamed_runner(
    features: StreamedFeatures, data: Rows, n_classes: int, settings: Settings, *, n_jobs: int,
    **_: Any,
) -> Iterator[Runner]:  # fmt: skip
    """Give a function that runs one cell; see `clipfeat.fits.running.cell_runner`.

    Parameters
    ----------
    features : StreamedFeatures
        What the row numbers in `data` are of.
    data, n_classes, settings, n_jobs
        As there; nothing is searched for, kept or stopped.
    """

    def run(asked: Asked) -> Cell:
        made: list[Any] = []

        def make() -> Any:
            made.append(
                build_streamed(
                    features, asked.name, random_state=asked.seed, n_jobs=n_jobs,
                    balance=settings.balance, calibrate=settings.calibrate, bag=settings.bag,
                    accelerate=settings.accelerate,
                )
            )  # fmt: skip
            return made[-1]

        cell = run_cell(
            make, data, asked.split, n_classes, seed=asked.seed, inner=settings.inner,
            measure_size=False,
        )  # fmt: skip
        if not asked.measure_size:
            return cell
        size = len(dump_estimator(released(made[0], features.n_features)))
        return replace(cell, costs={**cell.costs, "model_bytes": float(size)})

    yield run
