"""Tuning spaces: the parameters of classifiers that a search varies, and the result of a search.

A parameter has the name that the classifier gives it, such as ``C``, without the names of the
pipeline steps around the classifier.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Range:
    """Range of a numeric parameter.

    Parameters
    ----------
    low, high : float
        Smallest and largest value, both included.
    whole : bool
        Restrict the values to integers.
    log : bool
        Sample on a logarithmic scale.
    """

    low: float
    high: float
    whole: bool = False
    log: bool = True


@dataclass(frozen=True)
class WarmPath:
    """Regularisation path of a linear model.

    The search goes from strong to weak regularisation. Each fit starts from the coefficients of the
    last fit (a warm start).

    Parameters
    ----------
    parameter : str
        Name of the parameter, such as ``"C"``. Larger values must mean weaker regularisation.
    low, high : float
        Smallest and largest value. The search tries powers of ten, then values around the best.
    """

    parameter: str
    low: float
    high: float


Space = WarmPath | Mapping[str, Range]


@dataclass(frozen=True)
class Tuned:
    """Result of a parameter search.

    Parameters
    ----------
    params : mapping of str to float
        Best parameters, by their names in the tuning space. Empty if the default parameters are
        the best, or if no candidate was tried.
    tried : int
        Number of candidates that were tried. The default parameters count as one candidate.
    out_of_time : bool
        Whether the time limit ended the search. If True, `params` are the best parameters that were
        found before.
    """

    params: Mapping[str, float]
    tried: int = 0
    out_of_time: bool = False


def full_names(classifier: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    """Convert short parameter names to the names that ``set_params`` takes.

    For a pipeline or a meta-estimator, these names include the steps that contain the classifier.
    Parameters that the classifier does not have are dropped.

    Examples
    --------
    >>> from clipfeat.zoo import make_classifier
    >>> full_names(make_classifier("knn"), {"n_neighbors": 3})
    {'cappedneighborsclassifier__n_neighbors': 3}
    """
    known = sorted(classifier.get_params(), key=len)
    deepest = {short: [k for k in known if f"__{k}".endswith(f"__{short}")] for short in params}
    return {deepest[short][-1]: value for short, value in params.items() if deepest[short]}
