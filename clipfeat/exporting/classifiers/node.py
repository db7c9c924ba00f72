"""The nodes of a model file, as they are added to an ONNX graph."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.exporting.graph import Graph
from clipfeat.model.container import Array


@dataclass(frozen=True)
class Scores:
    """Names of the outputs of a classifier in a graph.

    Parameters
    ----------
    probabilities : str
        Probabilities (batch, n_classes). Empty if the classifier only has decision scores.
    decision : str
        Decision scores (batch, n_classes), or (batch, 1) for two classes. Empty if the classifier
        has no ``decision_function``.
    """

    probabilities: str
    decision: str = ""


@dataclass(frozen=True)
class ModelNode:
    """A node of a model file and the graph that it is added to.

    Parameters
    ----------
    graph : Graph
        The graph.
    path : str
        Path of the node. The names of the node's arrays start with this path.
    fields : mapping
        The fields of the node.
    arrays : mapping of str to ndarray
        The arrays of the whole model.
    convert : callable
        Function that adds a node to its graph.
    """

    graph: Graph
    path: str
    fields: Mapping[str, Any]
    arrays: Mapping[str, Array]
    convert: Callable[["ModelNode", str], Scores | str]

    @property
    def kind(self) -> str:
        """Name of the estimator's class."""
        return str(self.fields["kind"])

    @property
    def classes(self) -> NDArray[np.int64]:
        """Labels of the classifier. A pipeline has those of its last step."""
        if "classes" in self.fields:
            return np.array(self.fields["classes"], dtype=np.int64)
        return self.children("steps")[-1].classes

    def array(self, name: str) -> Array:
        """Return an array of the node."""
        return self.arrays[f"{self.path}/{name}"]

    def child(self, name: str) -> "ModelNode":
        """Return a nested estimator."""
        return self._at(name, self.fields[name])

    def children(self, name: str) -> list["ModelNode"]:
        """Return a list of nested estimators."""
        return [self._at(f"{name}/{i}", one) for i, one in enumerate(self.fields[name])]

    def _at(self, name: str, fields: Mapping[str, Any]) -> "ModelNode":
        return ModelNode(self.graph, f"{self.path}/{name}", fields, self.arrays, self.convert)

    def scores(self, X: str) -> Scores:
        """Add a classifier to the graph."""
        scores = self.convert(self, X)
        assert isinstance(scores, Scores)
        return scores

    def output(self, X: str) -> str:
        """Add a transformer to the graph."""
        output = self.convert(self, X)
        assert isinstance(output, str)
        return output
