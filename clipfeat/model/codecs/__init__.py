"""Codecs: conversions between fitted estimators and the nodes of a model file.

A codec writes the attributes that prediction needs, and builds a new estimator from them. It lists
and checks each field. `SHARED` lists the codecs of estimators that several classifiers contain. The
registry rows of `clipfeat.zoo` list the codecs of estimators that belong to one classifier. The
name of a codec is the name of the estimator's class. It is also the ``kind`` of a node in the file.
"""

from contextlib import suppress
from pkgutil import resolve_name
from typing import Any

from clipfeat.errors import UsageError
from clipfeat.model.codecs.codec import Codec, Conversion
from clipfeat.model.container import Array, DamagedModelError
from clipfeat.model.nodes import NodeReader, NodeWriter
from clipfeat.zoo import PROJECTIONS, classifiers

_HERE = "clipfeat.model.codecs"
SHARED = {
    "BaggedClassifier": f"{_HERE}.wrappers:BAGGED",
    "BoostedTreesClassifier": f"{_HERE}.boosting:BOOSTED_TREES",
    "ColumnRange": f"{_HERE}.scaling:COLUMN_RANGE",
    "GroupCalibratedClassifier": f"{_HERE}.calibration:GROUP_CALIBRATED",
    "LogisticRegression": f"{_HERE}.linear:LOGISTIC_REGRESSION",
    "Normalizer": f"{_HERE}.scaling:NORMALIZER",
    "OversampledClassifier": f"{_HERE}.wrappers:OVERSAMPLED",
    "Pipeline": f"{_HERE}.scaling:PIPELINE",
    "PrimalSVC": f"{_HERE}.linear:PRIMAL_SVC",
    "PriorCorrectedClassifier": f"{_HERE}.wrappers:PRIOR_CORRECTED",
    "SoftVotingClassifier": f"{_HERE}.ensembles:SOFT_VOTE",
    "StackedClassifier": f"{_HERE}.ensembles:STACK",
    "StandardScaler": f"{_HERE}.scaling:STANDARD_SCALER",
    "UnitScaler": f"{_HERE}.scaling:UNIT_SCALER",
}
"""Shared codecs, as ``"package.module:NAME"``, by the name of the estimator's class."""


def encode(estimator: Any, path: str = "estimator") -> tuple[dict[str, Any], dict[str, Array]]:
    """Convert a fitted estimator to a node and its arrays.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator.
    path : str
        Path of the node.

    Returns
    -------
    node : dict
        The node, for JSON.
    arrays : dict of str to ndarray
        The arrays by name.

    Raises
    ------
    UsageError
        If there is no codec for the estimator, or for an estimator that it contains.
    """
    arrays: dict[str, Array] = {}
    writer = NodeWriter(path, arrays, _write)
    _write(estimator, writer)
    return writer.fields, arrays


def decode(node: Any, arrays: dict[str, Array], n_features: int, path: str = "estimator") -> Any:
    """Build a fitted estimator from a node and its arrays.

    Parameters
    ----------
    node : object
        The node as parsed from JSON.
    arrays : dict of str to ndarray
        The arrays of the file. The arrays of the node are removed from it.
    n_features : int
        Number of features that the estimator takes.
    path : str
        Path of the node.

    Raises
    ------
    DamagedModelError
        If a check fails.
    """
    return _read(NodeReader(path, node, arrays, n_features, _read))


def _write(estimator: Any, node: NodeWriter) -> None:
    name = type(estimator).__name__
    codec = _find(name)
    if codec is None or codec.type is not type(estimator):
        raise UsageError(
            f"a model file cannot hold a {name}, because this class has no codec. Add a codec "
            "to the registry row of the classifier, as CONTRIBUTING.md describes"
        )
    if isinstance(codec, Conversion):
        _write(codec.convert(estimator), node)
        return
    node.put("kind", name)
    codec.write(estimator, node)


def _read(node: NodeReader) -> Any:
    kind = node.kind()
    codec = _find(kind)
    if not isinstance(codec, Codec):
        raise DamagedModelError(
            f"{node.path} has the unknown kind {kind[:40]!r}. Install the package that adds this "
            "classifier"
        )
    estimator = codec.read(node)
    node.done()
    with suppress(AttributeError):  # a pipeline reads the number from its first step
        estimator.n_features_in_ = node.n_features
    return estimator


def _find(name: str) -> Codec | Conversion | None:
    """Find a codec by its name. Codecs of this package take precedence over those of plug-ins."""
    place = SHARED.get(name)
    for row in () if place else (*PROJECTIONS.values(), *classifiers().values()):
        place = place or row.codecs.get(name)
    if place is None:
        return None
    codec = resolve_name(place)
    if not isinstance(codec, Codec | Conversion):
        raise UsageError(
            f"the codec {place} of a classifier is a {type(codec).__name__}, not a Codec. Correct "
            "the registry row of the classifier"
        )
    return codec
