"""Out-of-core fits: fits on features that are read from disk in blocks.

The registry row of a classifier that supports out-of-core fits names a function
``fit(estimator, rows, y)``. This function fits the estimator on rows that are read in blocks. The
result has the same type and attributes as after a fit in memory. Calibration, balancing, bagging
and votes use the same code as in memory. They pass row numbers to the classifier, which reads the
features of these rows.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clipfeat.errors import UsageError
from clipfeat.zoo import classifiers
from clipfeat.zoo.building import build
from clipfeat.zoo.fit_options import FitOptions

if TYPE_CHECKING:
    from clipfeat.store.streaming import StreamedFeatures


def streamed_names() -> list[str]:
    """List the classifiers that can be fitted out of core."""
    return [name for name, row in classifiers().items() if row.streamed]


def check_streamed(names: Sequence[str], *, tune: bool = False, engine: str = "local") -> None:
    """Check that a fit can run out of core.

    Parameters
    ----------
    names : sequence of str
        Names of the classifiers.
    tune : bool
        Whether the fit searches parameters.
    engine : {"local", "ray"}
        Engine of the fit.

    Raises
    ------
    UsageError
        If a classifier cannot be fitted out of core. If `tune` is True. If the engine is not
        ``"local"``.

    Examples
    --------
    >>> check_streamed(["logreg"])
    """
    able = streamed_names()
    unable = [name for name in names if name not in able]
    if unable:
        raise UsageError(
            f"{', '.join(unable)} cannot be fitted out of core. Use one or more of "
            f"{', '.join(able)}"
        )
    if tune:
        raise UsageError("parameters cannot be searched in an out-of-core fit. Leave out --tune")
    if engine != "local":
        raise UsageError(
            f"an out-of-core fit cannot run with the engine {engine!r}. Leave out --engine {engine}"
        )


def build_streamed(
    features: "StreamedFeatures",
    name: str,
    options: FitOptions = FitOptions(),
    *,
    random_state: int = 0,
    n_jobs: int = -1,
    params: Mapping[str, Any] | None = None,
) -> Any:
    """Build an unfitted classifier for out-of-core fits.

    The ``fit`` and ``predict_proba`` of the classifier take row numbers of `features` instead of
    features. After the fit, `clipfeat.zoo.streamed.classifier.unwrap` converts it into a classifier
    that takes features.

    Parameters
    ----------
    features : StreamedFeatures
        Features to fit on.
    name : str
        Name of a classifier that can be fitted out of core.
    options, random_state, n_jobs, params
        As in `clipfeat.zoo.building.build`.

    Returns
    -------
    estimator
        A classifier with ``predict_proba``.

    Raises
    ------
    UsageError
        If the classifier cannot be fitted out of core.
    """
    from clipfeat.zoo.streamed.classifier import StreamedClassifier

    check_streamed([name])

    def streamed(classifier: Any) -> Any:
        if "estimator" in (own := classifier.get_params(deep=False)):
            return classifier.set_params(estimator=streamed(own["estimator"]))
        return StreamedClassifier(classifier, features, classifiers()[name].streamed)

    return streamed(build(name, options, random_state=random_state, n_jobs=n_jobs, params=params))
