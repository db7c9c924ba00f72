"""Fits on features in memory, and out-of-core fits on features that are read in blocks."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from clipfeat.errors import UsageError
from clipfeat.features import FeatureSet
from clipfeat.fits.cells import Cell, CellSpec, fit_and_predict
from clipfeat.fits.fit_resources import FitResources
from clipfeat.fits.running import RunCell
from clipfeat.model import Model, estimator_bytes
from clipfeat.store import load
from clipfeat.store.streaming import (
    SHARE,
    StreamedFeatures,
    bytes_in_memory,
    stream,
)
from clipfeat.system.memory import available_memory
from clipfeat.system.progress import Report
from clipfeat.zoo import parse_names, pick_threads
from clipfeat.zoo.building import build
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.folds import TrainingData
from clipfeat.zoo.streamed import build_streamed, check_streamed
from clipfeat.zoo.streamed.classifier import unwrap

GIB = 2**30


@dataclass(frozen=True)
class DataAccess:
    """Data and functions of a fit, which differ between features in memory and in a file.

    Parameters
    ----------
    rows : FeatureSet
        The features. In an out-of-core fit, X has a single column with row numbers, and the
        estimators read the features of these rows from the file.
    n_values : int
        Number of values in all features.
    build : callable
        Function that builds an estimator, such as `clipfeat.zoo.building.build`.
    run : callable, optional
        Function that replaces `clipfeat.fits.cells.run_cell`.
    finish : callable
        Function that prepares the fitted model for prediction. After an out-of-core fit, the model
        takes row numbers, and this function returns a model that takes features.
    """

    rows: FeatureSet
    n_values: int
    build: Callable[..., Any] = build
    run: RunCell | None = None
    finish: Callable[[Model], Model] = lambda model: model

    def n_threads(self, resources: FitResources) -> int | None:
        """Choose the number of threads of a fit.

        On Ray, the number is `resources.n_jobs`. If that is None, each Ray task uses one thread.
        """
        if resources.engine != "local":
            return resources.n_jobs
        return pick_threads(resources.n_jobs, self.n_values)


def data_access(
    features: FeatureSet | StreamedFeatures, names: Sequence[str], *, tune: bool, engine: str
) -> DataAccess:
    """Choose how a fit reads its features.

    Classifiers on streamed features take row numbers, and read the features of these rows in
    blocks.

    Parameters
    ----------
    features : FeatureSet or StreamedFeatures
        Features in memory, or features in a file.
    names : sequence of str
        Names of the classifiers.
    tune : bool
        Whether the fit searches parameters.
    engine : str
        Engine of the fit.

    Raises
    ------
    UsageError
        If the features are streamed, but a classifier, the search or the engine needs them in
        memory.
    """
    if isinstance(features, FeatureSet):
        return DataAccess(features, features.X.size)
    check_streamed(names, tune=tune, engine=engine)

    def finish(model: Model) -> Model:
        encoder = features.specs[0].title  # the scores of a fit on row numbers lack it
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
        Whether the fit searches parameters.
    requested : bool, optional
        Choice of the user. None fits out of core if two conditions hold: the features as float32
        take more than a fraction of the available memory, `clipfeat.store.streaming.SHARE`, and the
        classifiers support out-of-core fits.
    engine : str
        As in `clipfeat.fit`.

    Returns
    -------
    out_of_core : bool
        Whether to fit out of core.
    reason : str
        Message for the user if the available memory decided. Empty otherwise.

    Raises
    ------
    UsageError
        If an out-of-core fit is not supported, and it is requested or the features do not fit in
        memory.
    """
    names = parse_names(clf)
    if requested is False:
        return False, ""
    needed, free = sum(map(bytes_in_memory, paths)), available_memory()
    if requested is None and needed <= SHARE * free:
        return False, ""
    try:
        if len(paths) > 1:
            raise UsageError(
                f"an out-of-core fit takes one feature file, got {len(paths)}. Pass a single file"
            )
        check_streamed(names, tune=tune, engine=engine)
    except UsageError as error:
        if requested:
            raise
        if needed > free:
            raise UsageError(
                f"the features ({needed / GIB:.3g} GiB) do not fit in memory ({free / GIB:.3g} GiB "
                f"free), and {error}"
            ) from error
        return False, (
            f"the features take {needed / GIB:.3g} GiB of the {free / GIB:.3g} GiB of free memory. "
            f"They are loaded into memory, because {error}"
        )
    reason = (
        f"the features take {needed / GIB:.3g} GiB as float32, more than {SHARE:.0%} of the "
        f"{free / GIB:.3g} GiB of free memory. They are read in blocks. Pass --in-memory to load "
        "them"
    )
    return True, "" if requested else reason


@contextmanager
def open_for_fit(
    paths: Sequence[str | Path],
    clf: str | Sequence[str],
    *,
    tune: bool,
    requested: bool | None = None,
    engine: str = "local",
    merge_labels: bool = False,
    notify: Callable[[str], None] = lambda reason: None,
    progress: bool | Report = True,
) -> Iterator[FeatureSet | StreamedFeatures]:
    """Load feature files for a fit, or open one file whose features are read in blocks.

    Parameters
    ----------
    paths, clf, tune, requested, engine
        As in `pick_out_of_core`, which decides.
    merge_labels : bool
        As in `clipfeat.store.load`.
    notify : callable
        Function that is called with the reason if the available memory decided.
    progress : bool or callable
        As in `clipfeat.store.load`.

    Yields
    ------
    FeatureSet or StreamedFeatures
        Features for `clipfeat.fit`, valid inside the ``with`` block.

    Raises
    ------
    UsageError
        As in `pick_out_of_core`.
    """
    streamed, reason = pick_out_of_core(paths, clf, tune=tune, requested=requested, engine=engine)
    if reason:
        notify(reason)
    if not streamed:
        yield load(*paths, merge_labels=merge_labels, progress=progress)
        return
    with stream(paths[0]) as features:
        yield features.merged_labels() if merge_labels else features


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
    """Run a cell on features that are read in blocks.

    Parameters
    ----------
    features : StreamedFeatures
        Features that the row numbers in `data` refer to.
    spec, options, data, n_classes, out_of_fold, n_jobs
        As in `clipfeat.fits.cells.run_cell`, but without a parameter search or a time limit.

    Returns
    -------
    Cell
        The results.
    """
    built: list[Any] = []

    def make() -> Any:
        built.append(
            build_streamed(features, spec.name, options, random_state=spec.seed, n_jobs=n_jobs)
        )
        return built[-1]

    cell = fit_and_predict(
        make, data, spec.split, n_classes, seed=spec.seed, out_of_fold=out_of_fold,
        measure_size=False, threshold_rows=spec.threshold_rows,
    )  # fmt: skip
    if not spec.measure_size:
        return cell
    size = estimator_bytes(unwrap(built[0], features.n_features))
    return replace(cell, costs={**cell.costs, "model_bytes": float(size)})
