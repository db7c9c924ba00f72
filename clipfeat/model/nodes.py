"""Nodes of a model file: the fields of one estimator, and the checks on reading them.

The JSON object of an estimator has the field ``kind`` and the fields that its codec defines. The
arrays of the estimator are stored separately. The name of an array consists of the path of the
object and the name of the field, such as ``estimator/steps/0/mean``. Each field and each array is
read exactly once. A file with other fields or arrays is refused.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from clipfeat.model.container import Array, DamagedModelError
from clipfeat.model.format import MAX_CLASSES, MAX_DEPTH, MAX_NODES, MAX_STEPS, MAX_TREES

FLOATS = ("float32", "float64")


class NodeWriter:
    """Writer for the fields of one estimator.

    Parameters
    ----------
    path : str
        Path of the node. The names of the node's arrays start with this path.
    arrays : dict of str to ndarray
        The arrays of the whole file. The writer adds to them.
    encode : callable
        Function that writes a nested estimator. It takes the estimator and a writer.
    """

    def __init__(
        self, path: str, arrays: dict[str, Array], encode: Callable[[Any, "NodeWriter"], None]
    ) -> None:
        self.path = path
        self.fields: dict[str, Any] = {}
        self._arrays = arrays
        self._encode = encode

    def put(self, name: str, value: Any) -> None:
        """Write a number, a string or a list of these."""
        self.fields[name] = value

    def classes(self, classes: Sequence[Any] | Array) -> None:
        """Write the labels, which are integers or strings."""
        self.fields["classes"] = np.asarray(classes).tolist()

    def array(self, name: str, values: Any, dtype: str | None = None) -> None:
        """Write an array. It keeps its type, or is converted to `dtype` if all values fit."""
        array = np.asarray(values)
        if dtype is not None:
            array = array.astype(dtype)
            if not np.array_equal(array, values):
                raise ValueError(f"the values of {self.path}/{name} do not fit {dtype}")
        self._arrays[f"{self.path}/{name}"] = np.ascontiguousarray(array).reshape(array.shape)

    def doubles(self, name: str, values: Any) -> None:
        """Write an array of float64, as float32 if this changes no value."""
        array = np.asarray(values, dtype=np.float64)
        with np.errstate(over="ignore"):
            narrow = array.astype(np.float32)
        self.array(name, narrow if np.array_equal(narrow, array) else array)

    def child(self, name: str, estimator: Any) -> None:
        """Write a nested estimator."""
        self.fields[name] = self._written(name, estimator)

    def children(self, name: str, estimators: Sequence[Any]) -> None:
        """Write a list of nested estimators."""
        self.fields[name] = [
            self._written(f"{name}/{number}", one) for number, one in enumerate(estimators)
        ]

    def _written(self, name: str, estimator: Any) -> dict[str, Any]:
        writer = NodeWriter(f"{self.path}/{name}", self._arrays, self._encode)
        self._encode(estimator, writer)
        return writer.fields


class NodeReader:
    """Reader of the fields of one estimator, which checks each field.

    Parameters
    ----------
    path : str
        Path of the node.
    fields : object
        The node as parsed from JSON.
    arrays : dict of str to ndarray
        The arrays of the whole file. The reader removes the arrays that it reads.
    n_features : int
        Number of features that the estimator takes.
    decode : callable
        Function that reads a nested estimator from its reader.
    depth : int
        Number of nodes that contain this node.
    counts : Counter, optional
        Numbers of the nodes and the trees of the whole file that were read before this node. The
        reader adds to them.
    """

    def __init__(
        self,
        path: str,
        fields: Any,
        arrays: dict[str, Array],
        n_features: int,
        decode: Callable[["NodeReader"], Any],
        depth: int = 0,
        counts: Counter[str] | None = None,
    ) -> None:
        if not isinstance(fields, dict):
            raise DamagedModelError(f"{path} is not an estimator")
        if depth > MAX_DEPTH:
            raise DamagedModelError(f"{path} is nested more than {MAX_DEPTH} levels deep")
        self.path = path
        self.n_features = n_features
        self._fields = dict(fields)
        self._arrays = arrays
        self._decode = decode
        self._depth = depth
        self._counts = Counter() if counts is None else counts
        self._count("nodes", 1, MAX_NODES)

    def _take(self, name: str) -> Any:
        if name not in self._fields:
            raise DamagedModelError(f"{self.path} has no field {name!r}")
        return self._fields.pop(name)

    def _refuse(self, name: str, value: Any, expected: str) -> DamagedModelError:
        return DamagedModelError(f"{self.path}/{name} is {str(value)[:40]!r}, expected {expected}")

    def _count(self, things: str, n: int, most: int) -> None:
        self._counts[things] += n
        if self._counts[things] > most:
            raise DamagedModelError(f"its estimator has more than {most:,} {things}")

    def count_trees(self, n: int) -> None:
        """Add `n` to the number of trees in the file. Raise an error above the limit."""
        self._count("trees", n, MAX_TREES)

    def has(self, name: str) -> bool:
        """Return whether the node has a field that was not read yet."""
        return name in self._fields

    def integer(self, name: str, least: int, most: int) -> int:
        """Read an integer in [least, most]."""
        value = self._take(name)
        if type(value) is not int or not least <= value <= most:
            raise self._refuse(name, value, f"an integer from {least} to {most}")
        return value

    def positive(self, name: str) -> float:
        """Read a finite number above 0."""
        value = self._take(name)
        if type(value) is not float or not 0 < value < float("inf"):
            raise self._refuse(name, value, "a positive number")
        return value

    def choice(self, name: str, options: Sequence[str]) -> str:
        """Read one of several strings."""
        value = self._take(name)
        if type(value) is not str or value not in options:
            raise self._refuse(name, value, " or ".join(options))
        return value

    def names(self, name: str) -> list[str]:
        """Read a list of different strings, with at least one."""
        values = self._take(name)
        if not isinstance(values, list) or not values or not all(type(v) is str for v in values):
            raise self._refuse(name, values, "a list of strings")
        if len(set(values)) < len(values):
            raise self._refuse(name, values, "different strings")
        return values

    def classes(self) -> Array:
        """Read the labels: sorted integers or sorted strings, without repetitions."""
        values = self._take("classes")
        kinds = {type(value) for value in values} if isinstance(values, list) else set()
        if kinds not in ({int}, {str}) or len(values) > MAX_CLASSES:
            raise self._refuse("classes", values, "a list of labels")
        if sorted(set(values)) != values or (kinds == {int} and not 0 <= values[-1] < 2**31):
            raise self._refuse("classes", values, "sorted labels")
        return np.array(values)

    def array(
        self,
        name: str,
        shape: tuple[int | None, ...],
        dtypes: Sequence[str] = FLOATS,
        least: float = -np.inf,
        most: float = np.inf,
    ) -> Array:
        """Read an array with values in [least, most]. Floating-point values must be finite.

        Parameters
        ----------
        name : str
            Name of the field.
        shape : tuple of int or None
            Expected shape. A dimension that is None may have any length above 0.
        dtypes : sequence of str
            Types that the array may have.
        least, most : float
            Smallest and largest value.
        """
        full = f"{self.path}/{name}"
        if full not in self._arrays:
            raise DamagedModelError(f"array {full!r} is missing")
        array = self._arrays.pop(full)
        if array.dtype.name not in dtypes:
            raise self._refuse(name, array.dtype.name, " or ".join(dtypes))
        fits = len(array.shape) == len(shape) and all(
            n > 0 if want is None else n == want for n, want in zip(array.shape, shape, strict=True)
        )
        if not fits:
            wanted = " × ".join("any" if n is None else str(n) for n in shape)
            raise self._refuse(name, array.shape, f"the shape {wanted}")
        if array.size:
            # If a value is NaN, both extremes are NaN, and comparisons with NaN are false.
            low, high = array.min(), array.max()
            if not (least <= low and high <= most and abs(low) < np.inf and abs(high) < np.inf):
                raise self._refuse(name, f"{low} to {high}", f"finite values in [{least}, {most}]")
        return array

    def doubles(
        self,
        name: str,
        shape: tuple[int | None, ...],
        *,
        least: float = -np.inf,
        most: float = np.inf,
    ) -> Array:
        """Read an array that `NodeWriter.doubles` wrote, as float64."""
        return self.array(name, shape, FLOATS, least, most).astype(np.float64, copy=False)

    def child(self, name: str, n_features: int | None = None) -> Any:
        """Read a nested estimator.

        The nested estimator takes `n_features` features. None means as many as this estimator.
        """
        return self._child(name, self._take(name), n_features)

    def children(self, name: str) -> list[Any]:
        """Read a list of nested estimators, with at least one."""
        return [self._child(f"{name}/{i}", one, None) for i, one in enumerate(self._list(name))]

    def chain(self, name: str) -> list[Any]:
        """Read a list of nested estimators. Each takes the output of the estimator before it."""
        estimators, width, steps = [], self.n_features, self._list(name)
        if len(steps) > MAX_STEPS:
            raise self._refuse(name, len(steps), f"at most {MAX_STEPS} steps")
        for number, one in enumerate(steps):
            estimators.append(self._child(f"{name}/{number}", one, width))
            width = getattr(estimators[-1], "_n_features_out", width)
        return estimators

    def _list(self, name: str) -> list[Any]:
        values = self._take(name)
        if not isinstance(values, list) or not values:
            raise self._refuse(name, values, "a list of estimators")
        return values

    def _child(self, name: str, fields: Any, n_features: int | None) -> Any:
        width = self.n_features if n_features is None else n_features
        path, depth = f"{self.path}/{name}", self._depth + 1
        reader = NodeReader(path, fields, self._arrays, width, self._decode, depth, self._counts)
        return self._decode(reader)

    def done(self) -> None:
        """Refuse fields that the codec did not read."""
        if self._fields:
            raise DamagedModelError(f"{self.path} has unknown fields: {', '.join(self._fields)}")

    def kind(self) -> str:
        """Read the kind of the estimator."""
        value = self._take("kind")
        if type(value) is not str:
            raise self._refuse("kind", value, "a string")
        return value


def same_classes(node: NodeReader, estimators: Sequence[Any], classes: Array) -> None:
    """Refuse nested classifiers whose labels differ from `classes`."""
    for one in estimators:
        if not np.array_equal(getattr(one, "classes_", np.empty(0)), classes):
            raise DamagedModelError(
                f"a classifier in {node.path} has other classes than {node.path} itself"
            )


def some_classes(node: NodeReader, estimators: Mapping[str, Any], classes: Array) -> None:
    """Refuse nested classifiers with labels that are not in `classes`."""
    for name, one in estimators.items():
        labels = getattr(one, "classes_", None)
        if labels is None or not set(labels.tolist()) <= set(classes.tolist()):
            raise DamagedModelError(
                f"{name!r} in {node.path} has other classes than {node.path} itself"
            )
