"""Out-of-core fits, for features that do not fit in memory.

A classifier that supports them names a function ``fit(estimator, rows, y)`` in its registry row. It
fits the estimator on rows read in blocks, to the same result as a fit in memory: the same type with
the same parameters. Estimators around it (calibration, balancing, bags, votes) see row numbers only
and work as in memory.
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

    Raises
    ------
    UsageError
        If a classifier does not support it, or parameters are searched, or the engine is not
        ``"local"``.

    Examples
    --------
    >>> check_streamed(["logreg"])
    """
    able = streamed_names()
    unable = [name for name in names if name not in able]
    if unable:
        raise UsageError(
            f"{', '.join(unable)} cannot be fitted out of core: use {', '.join(able)}, or fit in "
            "memory (--in-memory)"
        )
    if tune:
        raise UsageError("an out-of-core fit cannot search parameters: leave out --tune")
    if engine != "local":
        raise UsageError(f"an out-of-core fit runs on one machine: leave out --engine {engine}")


def build_streamed(
    features: "StreamedFeatures",
    name: str,
    options: FitOptions = FitOptions(),
    *,
    random_state: int = 0,
    n_jobs: int = -1,
    params: Mapping[str, Any] | None = None,
) -> Any:
    """Build an unfitted classifier whose ``X`` are row numbers of streamed features.

    `clipfeat.zoo.streamed.classifier.unwrap` converts the fitted estimator into one that takes
    features.

    Parameters
    ----------
    features : StreamedFeatures
        Features to fit on.
    name : str
        Name of a classifier that can be fitted out of core.
    options, random_state, n_jobs, params
        As in `clipfeat.zoo.building.build`.

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
