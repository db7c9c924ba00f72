"""Record of a run: its options, call, acceleration, versions and data."""

import platform
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from clipfeat.features import FeatureSet
from clipfeat.features.data_fingerprint import data_fingerprint
from clipfeat.fits.cache import versions
from clipfeat.zoo.acceleration import acceleration

NOT_OPTIONS = ("features", "cache", "progress")
"""Arguments of a benchmark that are not recorded as options.

The features are recorded by their fingerprint. The other arguments do not change the results.
"""
LIBRARIES = ("h5py", "joblib", "open_clip_torch", "pandas", "pillow", "timm")
"""Packages whose version is recorded, in addition to `clipfeat.fits.cache.VERSIONED`."""


def run_record(
    arguments: Mapping[str, Any], features: FeatureSet, *, accelerate: bool
) -> dict[str, Any]:
    """Describe a run, for ``run.json``.

    Parameters
    ----------
    arguments : mapping
        Arguments of the benchmark by name, with defaults replaced by the values in use.
    features : FeatureSet
        The rows that the run trains on or tests.
    accelerate : bool
        Whether the fits may use a GPU or scikit-learn-intelex.

    Returns
    -------
    dict
        ``options``, ``command``, ``acceleration``, ``versions`` and ``data_fingerprint``. All
        values are JSON values.
    """
    options = {name: value for name, value in arguments.items() if name not in NOT_OPTIONS}
    call = "".join(f", {name}={value!r}" for name, value in options.items())
    return {
        "options": flat_options(options),
        "command": f"clipfeat.benchmark(features{call})",
        "acceleration": acceleration(accelerate),
        "versions": library_versions(),
        "data_fingerprint": data_fingerprint(features),
    }


def flat_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as JSON values.

    An options object is replaced by its fields. A protocol is replaced by the name of its class and
    its fields.

    Examples
    --------
    >>> from clipfeat.evaluate.protocols import KFold
    >>> flat = flat_options({"clf": ["svm"], "protocol": KFold(3)})
    >>> flat["clf"], flat["protocol"], flat["protocol.n_splits"]
    (['svm'], 'KFold', 3)
    """
    flat: dict[str, Any] = {}
    for name, value in options.items():
        if not is_dataclass(value):
            flat[name] = _json(value)
            continue
        prefix = "" if name in ("options", "resources") else f"{name}."
        if prefix:
            flat[name] = type(value).__name__
        for field in fields(value):
            flat[prefix + field.name] = _json(getattr(value, field.name))
    return flat


def library_versions() -> dict[str, str]:
    """Return the versions of Python and of each library. A missing library has an empty version."""
    version_of = {"python": platform.python_version(), **versions()}
    for name in LIBRARIES:
        try:
            version_of[name] = version(name)
        except PackageNotFoundError:
            version_of[name] = ""
    return version_of


def _json(value: object) -> Any:
    """Return a JSON value. A feature set is represented by its fingerprint."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, FeatureSet):
        return data_fingerprint(value)
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    return repr(value)
