"""A builder of ONNX graphs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

OPSET = 18
"""Version of the operators. torch's exporter writes no older version, and onnxruntime-web reads it
since version 1.14."""
ML_DOMAIN = "ai.onnx.ml"
ML_OPSET = 3
TINY = 1e-30


class Graph:
    """Builder of an ONNX graph. Values between nodes are float64 unless stated otherwise.

    float64 keeps the rounding errors of the classifiers far below those of the encoder.

    Parameters
    ----------
    prefix : str
        Prefix of the names of all values.
    """

    FLOAT, DOUBLE = 1, 11  # onnx.TensorProto.FLOAT and DOUBLE

    def __init__(self, prefix: str = "classifier/") -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._prefix = prefix
        self._n_values = 0

    def _name(self, kind: str) -> str:
        self._n_values += 1
        return f"{self._prefix}{kind}_{self._n_values}"

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add an operator with one output, and return the name of the output."""
        from onnx import helper

        name = self._name(kind)
        node = helper.make_node(kind, list(inputs), [name], name=name, domain=domain, **attributes)
        self.nodes.append(node)
        return name

    def tensor(self, values: NDArray[Any]) -> str:
        """Add an array with its own dtype."""
        from onnx import numpy_helper

        name = self._name("constant")
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def constant(self, values: ArrayLike) -> str:
        """Add an array as float64. A float32 array is stored as float32."""
        array = np.asarray(values)
        if array.dtype == np.float32:
            return self.op("Cast", self.tensor(array), to=self.DOUBLE)
        return self.tensor(array.astype(np.float64))

    def integers(self, *values: int) -> str:
        """Add a vector of int64, which is the type of axes and sizes."""
        return self.tensor(np.array(values, dtype=np.int64))

    def linear(self, X: str, coef: NDArray[Any], intercept: NDArray[Any]) -> str:
        """Multiply rows with weights (n_outputs, n_features), and add intercepts (n_outputs,)."""
        product = self.op("MatMul", X, self.constant(np.ascontiguousarray(coef.T)))
        return self.op("Add", product, self.constant(intercept))

    def row_sum(self, X: str) -> str:
        """Sum each row. The result has shape (batch, 1)."""
        return self.op("ReduceSum", X, self.integers(1), keepdims=1)

    def shares(self, X: str) -> str:
        """Divide each row by its sum."""
        return self.op("Div", X, self.row_sum(X))

    def complement(self, p: str) -> str:
        """Return probabilities (batch, 2) from those of the second class (batch, 1)."""
        return self.concat([self.op("Sub", self.constant(1.0), p), p])

    def concat(self, parts: Sequence[str]) -> str:
        """Join the columns of several values."""
        return parts[0] if len(parts) == 1 else self.op("Concat", *parts, axis=1)

    def column(self, X: str, start: int, stop: int) -> str:
        """Select the columns from `start` to `stop`."""
        one = self.integers
        return self.op("Slice", X, one(start), one(stop), one(1))

    def total(self, parts: Sequence[str], weights: Sequence[float]) -> str:
        """Add values with weights."""
        weighted = [
            self.op("Mul", part, self.constant(float(weight)))
            for part, weight in zip(parts, weights, strict=True)
        ]
        return weighted[0] if len(weighted) == 1 else self.op("Sum", *weighted)

    def unit_rows(self, X: str) -> str:
        """Divide each row by its Euclidean norm. A row of zeros stays unchanged."""
        norm = self.op("Sqrt", self.row_sum(self.op("Mul", X, X)))
        return self.op("Div", X, self.op("Max", norm, self.constant(TINY)))

    def smallest(self, X: str, k: int) -> tuple[str, str]:
        """Return the `k` smallest values of each row, and their columns."""
        from onnx import helper

        values, places = self._name("values"), self._name("places")
        inputs = [X, self.integers(k)]
        self.nodes.append(helper.make_node("TopK", inputs, [values, places], axis=1, largest=0))
        return values, places

    def squared_distances(self, X: str, rows: NDArray[Any]) -> str:
        """Compute the squared distances of each row of `X` to the rows of an array."""
        product = self.op("MatMul", X, self.op("Transpose", self.constant(rows), perm=[1, 0]))
        inner = self.op("Mul", product, self.constant(-2.0))
        norms = np.square(rows.astype(np.float64)).sum(axis=1)
        own = self.row_sum(self.op("Mul", X, X))
        distances = self.op("Sum", inner, own, self.constant(norms))
        return self.op("Max", distances, self.constant(0.0))
