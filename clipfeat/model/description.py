"""The description of a model file, ``model.json``, without the nodes of its estimator."""

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clipfeat.errors import RefusedFileError
from clipfeat.model.adaptation import MAX_SHIFT, METHODS, Adaptation
from clipfeat.model.container import DamagedModelError
from clipfeat.model.format import (
    ABSTENTION,
    KIND,
    MAX_CLASSES,
    MAX_SCORED,
    MAX_TEXT,
    VERSION,
)
from clipfeat.spec import EncoderSpec

if TYPE_CHECKING:
    from clipfeat.model.model_file import Model

FIELDS = (
    "kind", "version", "classes", "encoders", "fingerprints", "n_features", "members", "threshold",
    "estimator", "scores", "about", "libraries",
)  # fmt: skip
OPTIONAL_FIELDS = ("prior", "adaptation", ABSTENTION)
ADAPTATION_FIELDS = ("shifts", "method", "n_images", "before", "after")

SCORE_FIELDS: dict[str, tuple[tuple[type, ...], bool]] = {
    **dict.fromkeys(("classifier", "metric"), ((str,), True)),
    **dict.fromkeys(("encoder", "fold", "trained_on", "tested_on"), ((str,), False)),
    **dict.fromkeys(("seed", "n_train"), ((int,), False)),
    **dict.fromkeys(("value", "seconds"), ((float, int), False)),
}
"""Types of the fields of a score, and whether null is invalid."""


def describe(
    model: "Model", node: Mapping[str, Any], n_features: int, libraries: Mapping[str, str]
) -> dict[str, Any]:
    """Write the description of a model.

    Parameters
    ----------
    model : Model
        The model.
    node : mapping
        Node of the model's estimator.
    n_features : int
        Number of features that the model takes.
    libraries : mapping of str to str
        Versions of libraries by name.
    """
    about = {name: value for name, value in model.about.items() if name != "libraries"}
    optional: dict[str, Any] = {}
    if model.prior is not None:
        optional["prior"] = list(model.prior)
    if model.adaptation is not None:
        optional["adaptation"] = _without_nan(vars(model.adaptation))
    return {
        "kind": KIND,
        "version": VERSION,
        "classes": list(model.classes),
        "encoders": [json.loads(spec.to_json()) for spec in model.specs],
        "fingerprints": [spec.fingerprint for spec in model.specs],
        "n_features": n_features,
        "members": list(model.members),
        "threshold": None if model.threshold is None else float(model.threshold),
        "estimator": node,
        "scores": _without_nan([dict(row) for row in model.scores]),
        "about": _without_nan(about),
        "libraries": dict(libraries),
        **optional,
    }


def _without_nan(value: Any) -> Any:
    """Replace NaN and infinity by None, because JSON has neither."""
    if isinstance(value, Mapping):
        return {name: _without_nan(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _with_nan(row: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: math.nan if name in names and v is None else v for name, v in row.items()}


def check_version(description: Mapping[str, Any]) -> None:
    """Refuse other kinds and versions of files."""
    kind, version = description.get("kind"), description.get("version")
    if kind != KIND:
        raise DamagedModelError(f"it is a {str(kind)[:40]!r} file instead of a {KIND!r} file")
    if type(version) is not int or version > VERSION:
        raise RefusedFileError(
            f"it is a model file of version {str(version)[:40]}, but this version of clipfeat "
            f"reads version {VERSION}. Install the version of clipfeat that wrote the file"
        )
    if version < VERSION:
        raise DamagedModelError(f"its version is {version}, which never had this layout")


def check_fields(description: Mapping[str, Any]) -> None:
    """Check the types and the values of the description, except those of the estimator.

    Raises
    ------
    DamagedModelError
        If a field is missing or unknown, or has an invalid value.
    """
    if set(description) - set(OPTIONAL_FIELDS) != set(FIELDS):
        wrong = sorted((set(description) - set(OPTIONAL_FIELDS)) ^ set(FIELDS))
        raise DamagedModelError(f"fields are missing or unknown: {', '.join(wrong)[:80]}")
    for name, most in (("classes", MAX_CLASSES), ("members", 1000), ("fingerprints", 1000)):
        values = description[name]
        if not isinstance(values, list) or not all(type(value) is str for value in values):
            raise DamagedModelError(f"{name!r} is not a list of strings")
        if len(set(values)) < len(values) or len(values) > most:
            raise DamagedModelError(f"{name!r} repeats a value or has more than {most} values")
    for name in ("classes", "members", "scores", "about", "libraries"):
        _check_texts(name, description[name])
    if len(description["classes"]) < 2:
        raise DamagedModelError("it has fewer than two classes")
    for name, kind in (("scores", list), ("encoders", list), ("about", dict), ("libraries", dict)):
        if not isinstance(description[name], kind):
            raise DamagedModelError(f"{name!r} is not a JSON {kind.__name__}")
    if not all(isinstance(row, dict) for row in description["scores"]):
        raise DamagedModelError("'scores' is not a list of objects")
    _check_scores(description["scores"])
    threshold, n_features = description["threshold"], description["n_features"]
    if threshold is not None and len(description["classes"]) != 2:
        raise DamagedModelError(
            f"a decision threshold ({threshold!r}) needs two classes, but the model has "
            f"{len(description['classes'])}"
        )
    if threshold is not None and not (type(threshold) is float and 0 <= threshold <= 1):
        raise DamagedModelError(f"the decision threshold ({threshold!r}) is outside [0, 1]")
    if type(n_features) is not int or not 0 < n_features < 2**31:
        raise DamagedModelError(f"the number of features ({n_features!r}) is invalid")
    _check_optional(description, len(description["classes"]))


def _check_optional(description: Mapping[str, Any], n_classes: int) -> None:
    if "prior" in description:
        prior = description["prior"]
        if not _is_numbers(prior, n_classes) or min(prior) <= 0 or abs(sum(prior) - 1) > 1e-6:
            raise DamagedModelError(f"'prior' is not {n_classes} positive shares with the sum 1")
    if "adaptation" in description:
        _check_adaptation(description["adaptation"], n_classes)


def _check_adaptation(value: Any, n_classes: int) -> None:
    if not isinstance(value, dict) or set(value) != set(ADAPTATION_FIELDS):
        names = ", ".join(ADAPTATION_FIELDS)
        raise DamagedModelError(f"'adaptation' has other fields than {names}")
    _check_texts("adaptation", value)
    shifts, n_images = value["shifts"], value["n_images"]
    if not _is_numbers(shifts, n_classes) or max(map(abs, shifts)) > MAX_SHIFT:
        raise DamagedModelError(
            f"the shifts of 'adaptation' are not {n_classes} numbers in [-{MAX_SHIFT:g}, "
            f"{MAX_SHIFT:g}]"
        )
    if value["method"] not in METHODS or type(n_images) is not int or not 0 < n_images < 2**31:
        raise DamagedModelError(
            f"'adaptation' has an invalid method ({str(value['method'])[:40]!r}) or number of "
            f"images ({str(n_images)[:40]})"
        )
    before, after = value["before"], value["after"]
    scores = [*before.values(), *after.values()] if _same_names(before, after) else ["invalid"]
    if not all(type(one) is float or one is None for one in scores):
        raise DamagedModelError(
            "the scores before and after 'adaptation' must be numbers of the same metrics"
        )


def _is_numbers(values: Any, n: int) -> bool:
    is_list = isinstance(values, list) and len(values) == n
    return is_list and all(type(value) is float for value in values)


def _same_names(before: Any, after: Any) -> bool:
    return isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys()


def _check_texts(name: str, value: Any) -> None:
    """Refuse long texts, which take minutes to print."""
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise DamagedModelError(f"a text of {name!r} has more than {MAX_TEXT} characters")
    if isinstance(value, dict):
        _check_texts(name, [*value, *value.values()])
    elif isinstance(value, list):
        for one in value:
            _check_texts(name, one)


def _check_scores(rows: list[dict[str, Any]]) -> None:
    for number, row in enumerate(rows):
        for name in ("classifier", "metric", "value"):
            if name not in row:
                raise DamagedModelError(f"row {number} of 'scores' has no {name!r}")
        for name, value in row.items():
            kinds, required = SCORE_FIELDS.get(name, ((), False))
            if value is None and not required:
                continue
            large = type(value) is int and abs(value) >= 2**63
            if type(value) not in kinds or large:
                raise DamagedModelError(
                    f"{name[:40]!r} in row {number} of 'scores' is unknown or has an invalid value"
                )
    if len({row["classifier"] for row in rows}) > MAX_SCORED:
        raise DamagedModelError(f"'scores' names more than {MAX_SCORED} classifiers")


def read_specs(description: Mapping[str, Any]) -> tuple[EncoderSpec, ...]:
    """Read the encoders, and check their digests and number of features."""
    specs = tuple(EncoderSpec.from_json(json.dumps(one)) for one in description["encoders"])
    if [spec.fingerprint for spec in specs] != description["fingerprints"]:
        raise DamagedModelError("the encoders do not match their fingerprints")
    total = sum(spec.n_features for spec in specs)
    if specs and total != description["n_features"]:
        raise DamagedModelError(
            f"the encoders have {total} features, but the model has {description['n_features']}"
        )
    return specs


def read_scores(description: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """Read the scores."""
    return tuple(_with_nan(row, ("value", "seconds")) for row in description["scores"])


def read_prior(description: Mapping[str, Any]) -> tuple[float, ...] | None:
    """Read the shares of the classes, if there are any."""
    prior = description.get("prior")
    return None if prior is None else tuple(prior)


def read_adaptation(description: Mapping[str, Any]) -> Adaptation | None:
    """Read the adaptation, if there is one."""
    fields = description.get("adaptation")
    if fields is None:
        return None
    before, after = (_with_nan(fields[name], tuple(fields[name])) for name in ("before", "after"))
    return Adaptation(tuple(fields["shifts"]), fields["method"], fields["n_images"], before, after)


def read_about(description: Mapping[str, Any]) -> dict[str, Any]:
    """Read the facts about the fit, with the versions of libraries."""
    about = dict(description["about"])
    if isinstance(gain := about.get("gain"), dict):
        about["gain"] = _with_nan(gain, tuple(gain))
    return {**about, "libraries": description["libraries"]}
