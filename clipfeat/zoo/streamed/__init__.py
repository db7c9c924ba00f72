"""The classifiers that can be fitted on features that do not fit in memory.

Each is a file with a ``fit(classifier, rows, y)`` that fits what the zoo makes of that name, on
rows that are read in blocks, to what it would be had it been fitted on them at once: the very same
kind of estimator, by the same parameters. Whatever is put around it (calibration, balance, bags,
votes) sees row numbers only, and is what it is in memory.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clipfeat.errors import UsageError
from clipfeat.zoo.building import build
from clipfeat.zoo.fit_options import FitOptions

if TYPE_CHECKING:
    from clipfeat.store.streaming import StreamedFeatures

STREAMED = {
    "logreg": "logreg:fit",
    "linsvm": "linear_svm:fit",
    "lgbm": "lightgbm:fit",
    "xgb": "xgboost:fit",
}
"""By name in the zoo, the ``"module:function"`` that fits it."""


def check_streamed(names: Sequence[str], *, tune: bool = False, engine: str = "local") -> None:
    """Refuse what needs all features at once.

    Raises
    ------
    UsageError
        Naming the classifiers that do, and those that do not.

    Examples
    --------
    >>> check_streamed(["logreg"])
    """
    unable = [name for name in names if name not in STREAMED]
    if unable:
        raise UsageError(
            f"{', '.join(unable)} cannot be fitted out of core: take {', '.join(STREAMED)}, or fit "
            "in memory (--in-memory)"
        )
    if tune:
        raise UsageError("parameters are searched for in memory only: leave out --tune")
    if engine != "local":
        raise UsageError(f"a fit out of core runs on one machine: leave out --engine {engine}")


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

    `clipfeat.zoo.streamed.classifier.released` converts the fitted estimator into one that takes
    features.

    Parameters
    ----------
    features : StreamedFeatures
        Features to fit on.
    name : str
        One of `STREAMED`.
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
        return StreamedClassifier(classifier, features, STREAMED[name])

    return streamed(build(name, options, random_state=random_state, n_jobs=n_jobs, params=params))
