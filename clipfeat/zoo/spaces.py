"""Tuning spaces of classifiers, and results of searching them.

A space names parameters as the classifier itself does, wherever it is in a pipeline.
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
    """Regularisation path of a linear model, followed from strong to weak with warm starts.

    Parameters
    ----------
    parameter : str
        Parameter whose larger values mean weaker regularisation, such as ``"C"``.
    low, high : float
        Ends of the path. It is followed in decades, then in finer steps around the best value.
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
        Best parameters, by their names in the space. Empty if the defaults are best or nothing was
        tried.
    tried : int
        Number of candidates tried, the defaults included.
    out_of_time : bool
        Whether the time limit ended the search. `params` are then the best so far.
    """

    params: Mapping[str, float]
    tried: int = 0
    out_of_time: bool = False


def full_names(classifier: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    """Qualify parameter names for ``set_params``, wherever in a pipeline the parameters are.

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
