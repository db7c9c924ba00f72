"""Fits on features in memory, and out of core on features read in blocks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from clipfeat.errors import UsageError
from clipfeat.features import FeatureSet
from clipfeat.fits.cells import Cell, CellSpec, fit_and_predict
from clipfeat.fits.fit_resources import FitResources
from clipfeat.fits.running import RunCell
from clipfeat.model import Model, dump_estimator
from clipfeat.store.streaming import SHARE, StreamedFeatures, bytes_in_memory
from clipfeat.system.memory import available_memory
from clipfeat.zoo import parse_names, pick_threads
from clipfeat.zoo.building import build
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.folds import TrainingData
from clipfeat.zoo.streamed import build_streamed, check_streamed
from clipfeat.zoo.streamed.classifier import unwrap

GIB = 2**30


@dataclass(frozen=True)
class DataAccess:
    """How a fit reads its features: from memory, or in blocks from a file.

    Parameters
    ----------
    rows : FeatureSet
        The features, or the row numbers by which classifiers read them.
    n_values : int
        Number of values in all features.
    build : callable
        Builds an estimator, like `clipfeat.zoo.building.build`.
    run : callable, optional
        Replacement for `clipfeat.fits.cells.run_cell`.
    finish : callable
        Converts the fitted model into one that takes features.
    """

    rows: FeatureSet
    n_values: int
    build: Callable[..., Any] = build
    run: RunCell | None = None
    finish: Callable[[Model], Model] = lambda model: model

    def n_threads(self, resources: FitResources) -> int | None:
        """Choose the number of threads of a fit; on Ray, None leaves the choice to Ray."""
        if resources.engine != "local":
            return resources.n_jobs
        return pick_threads(resources.n_jobs, self.n_values)


def data_access(
    features: FeatureSet | StreamedFeatures, names: Sequence[str], *, tune: bool, engine: str
) -> DataAccess:
    """Choose how a fit reads its features.

    Classifiers on streamed features see row numbers and read the rows in blocks.

    Raises
    ------
    UsageError
        If features are streamed and a classifier, a search or the engine needs them in memory.
    """
    if isinstance(features, FeatureSet):
        return DataAccess(features, features.X.size)
    check_streamed(names, tune=tune, engine=engine)

    def finish(model: Model) -> Model:
        encoder = features.specs[0].title  # row numbers have no encoder
        return replace(
            model,
            estimator=unwrap(model.estimator, features.n_features),
            specs=features.specs,
            scores=tuple({**row, "encoder": encoder} for row in model.scores),
            about={**model.about, "out_of_core": True},
        )

    return DataAccess(
        features.numbers,
        len(features) * features.n_features,
        partial(build_streamed, features),
        partial(run_streamed_cell, features),
        finish,
    )


def pick_out_of_core(
    paths: Sequence[str | Path],
    clf: str | Sequence[str],
    *,
    tune: bool,
    requested: bool | None,
    engine: str = "local",
) -> tuple[bool, str]:
    """Decide whether to fit out of core.

    Parameters
    ----------
    paths : sequence of path
        Feature files.
    clf : str or sequence of str
        As in `clipfeat.fit`.
    tune : bool
        Whether parameters are searched.
    requested : bool, optional
        The user's choice. None fits out of core if the features as float32 take more than
        `clipfeat.store.streaming.SHARE` of the available memory and the classifiers support it.
    engine : str
        As in `clipfeat.fit`.

    Returns
    -------
    out_of_core : bool
        The decision.
    reason : str
        One sentence for the user if memory decided, else empty.

    Raises
    ------
    UsageError
        If an out-of-core fit is requested but not supported, or the features exceed the available
        memory and cannot be read in blocks.
    """
    names = parse_names(clf)
    if requested is False:
        return False, ""
    needed, free = sum(map(bytes_in_memory, paths)), available_memory()
    if requested is None and needed <= SHARE * free:
        return False, ""
    try:
        if len(paths) > 1:
            raise UsageError(f"an out-of-core fit takes one feature file, got {len(paths)}")
        check_streamed(names, tune=tune, engine=engine)
    except UsageError as error:
        if requested:
            raise
        sizes = f"the features take {needed / GIB:.3g} GiB of the {free / GIB:.3g} available"
        if needed > free:
            raise UsageError(f"{sizes}, and {error}") from error
        return False, f"{sizes} but are loaded into memory: {error}"
    reason = (
        f"the features take {needed / GIB:.3g} GiB as float32, more than {SHARE:.0%} of the "
        f"{free / GIB:.3g} available: they are read in blocks (--in-memory loads them)"
    )
    return True, "" if requested else reason


def run_streamed_cell(
    features: StreamedFeatures,
    spec: CellSpec,
    options: FitOptions,
    data: TrainingData,
    n_classes: int,
    *,
    out_of_fold: bool,
    n_jobs: int,
) -> Cell:
    """Run a cell on features read in blocks; see `clipfeat.fits.cells.run_cell`.

    Parameters
    ----------
    features : StreamedFeatures
        Features of the row numbers in `data`.
    spec, options, data, n_classes, out_of_fold, n_jobs
        As in `clipfeat.fits.cells.run_cell`. There is no search and no time limit.
    """
    built: list[Any] = []

    def make() -> Any:
        built.append(
            build_streamed(features, spec.name, options, random_state=spec.seed, n_jobs=n_jobs)
        )
        return built[-1]

    cell = fit_and_predict(
        make, data, spec.split, n_classes, seed=spec.seed, out_of_fold=out_of_fold,
        measure_size=False,
    )  # fmt: skip
    if not spec.measure_size:
        return cell
    size = len(dump_estimator(unwrap(built[0], features.n_features)))
    return replace(cell, costs={**cell.costs, "model_bytes": float(size)})
