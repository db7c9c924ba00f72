"""Read and write the abstention of a model file. See `clipfeat.model.format`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.model.abstention import Abstention, images_needed
from clipfeat.model.container import Array, DamagedModelError
from clipfeat.model.format import ABSTENTION

FIELDS = ("level", "n_images", "n_independent")


def write_abstention(
    abstention: Abstention | None,
) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
    """Return the fields of ``model.json`` and the arrays of an abstention, or empty dicts."""
    if abstention is None:
        return {}, {}
    fields = {
        "level": float(abstention.level),
        "n_images": list(abstention.n_images),
        "n_independent": list(abstention.n_independent),
    }
    return {ABSTENTION: fields}, {ABSTENTION: abstention.probabilities}


def read_abstention(
    description: Mapping[str, Any], arrays: dict[str, Array], n_classes: int
) -> Abstention | None:
    """Read and check an abstention. Its array is removed from `arrays`.

    Raises
    ------
    DamagedModelError
        If a field is missing, unknown or invalid, or does not match the array.
    """
    if ABSTENTION not in description:
        return None
    fields, probabilities = description[ABSTENTION], arrays.pop(ABSTENTION, None)
    if not isinstance(fields, dict) or set(fields) != set(FIELDS):
        raise DamagedModelError(f"'abstention' has other fields than {', '.join(FIELDS)}")
    level, n_images, n_independent = (fields[name] for name in FIELDS)
    if type(level) is not float or not 0 < level < 1:
        raise DamagedModelError(f"the level of 'abstention' ({str(level)[:40]}) is not in (0, 1)")
    needed = images_needed(level)
    if not (_are_counts(n_images, n_classes, needed) and _are_counts(n_independent, n_classes, 1)):
        raise DamagedModelError(
            f"'abstention' must give the number of images of each of the {n_classes} classes, at "
            f"least {needed} for its level"
        )
    if any(n > most for n, most in zip(n_independent, n_images, strict=True)):
        raise DamagedModelError(
            "'abstention' has a larger number in n_independent than in n_images"
        )
    if (
        probabilities is None
        or probabilities.dtype != np.float64
        or probabilities.shape != (sum(n_images),)
    ):
        raise DamagedModelError("the array of 'abstention' is missing or has another shape")
    if not (probabilities.min() >= 0 and probabilities.max() <= 1):  # False for NaN
        raise DamagedModelError("the array of 'abstention' has values outside [0, 1]")
    of_classes = np.split(probabilities, np.cumsum(n_images)[:-1])
    if any((np.diff(of_class) < 0).any() for of_class in of_classes):
        raise DamagedModelError("the array of 'abstention' is not in ascending order")
    return Abstention(level, probabilities, tuple(n_images), tuple(n_independent))


def _are_counts(values: Any, n: int, least: int) -> bool:
    is_list = isinstance(values, list) and len(values) == n
    return is_list and all(type(value) is int and least <= value < 2**31 for value in values)
