"""The classifiers that can be fitted on features that do not fit in memory.

Each is a file with a ``fit(classifier, rows, y)`` that fits what the zoo makes of that name, on
rows that are read in blocks, to what it would be had it been fitted on them at once: the very same
kind of estimator, by the same parameters. Whatever is put around it (calibration, balance, bags,
votes) sees row numbers only, and is what it is in memory.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clipfeat.errors import UsageError
from clipfeat.zoo.recipe import build

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


def build_streamed(features: "StreamedFeatures", name: str, **recipe: Any) -> Any:
    """Make an unfitted classifier that takes row numbers of streamed features for X.

    Once fitted, `clipfeat.zoo.streamed.classifier.released` makes of it what takes features.

    Parameters
    ----------
    features : StreamedFeatures
        What it will be fitted on.
    name : str
        One of `STREAMED`.
    **recipe
        As in `clipfeat.zoo.recipe.build`.
    """
    from clipfeat.zoo.streamed.classifier import StreamedClassifier

    check_streamed([name])

    def streamed(classifier: Any) -> Any:
        if "estimator" in (own := classifier.get_params(deep=False)):
            return classifier.set_params(estimator=streamed(own["estimator"]))
        return StreamedClassifier(classifier, features, STREAMED[name])

    return streamed(build(name, **recipe))
