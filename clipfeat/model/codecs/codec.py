"""The type of a codec."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from clipfeat.model.nodes import NodeReader, NodeWriter


@dataclass(frozen=True)
class Codec:
    """Conversion of the estimators of one class to nodes, and back.

    Parameters
    ----------
    type : type
        Class of the estimators. Subclasses need their own codec.
    write : callable
        Function ``(estimator, node)`` that writes the fields of a fitted estimator.
    read : callable
        Function ``(node)`` that checks the fields and returns a new estimator.
    """

    type: type
    write: Callable[[Any, NodeWriter], None]
    read: Callable[[NodeReader], Any]


@dataclass(frozen=True)
class Conversion:
    """Conversion of the estimators of one class to another class, which has a codec.

    Parameters
    ----------
    type : type
        Class of the estimators.
    convert : callable
        Function that takes a fitted estimator and returns another with the same predictions.
    """

    type: type
    convert: Callable[[Any], Any]
