"""Checking the types in ``run.json`` before a run is used. The file may be damaged or a stranger's.

A field that the file lacks is not checked, because the readers of a run have defaults for it.
"""

from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], bool]


def check_run_record(described: Mapping[str, Any]) -> None:
    """Check the content of ``run.json``.

    Parameters
    ----------
    described : mapping
        The parsed file.

    Raises
    ------
    KeyError
        If ``about``, ``trials`` or the classes are missing.
    TypeError
        If a value has another type than the readers of a run expect.
    """
    about, trials = described["about"], described["trials"]
    if not _is_mapping(about) or not isinstance(trials, list) or not trials:
        raise TypeError("about is not an object, or trials is not a list of trials")
    if len(about["classes"]) < 2:
        raise TypeError(f"expected at least two classes, got {len(about['classes'])}")
    _check_fields(about, _ABOUT)
    for trial in trials:
        _check_fields(trial, _TRIAL)
    for flag, name in (("shared", "column"), ("balanced_by_default", "balance")):
        if about.get(flag):
            about[name]  # a remark needs it


def _check_fields(values: Mapping[str, Any], checks: Mapping[str, Check]) -> None:
    for name, is_right in checks.items():
        if name in values and not is_right(values[name]):
            raise TypeError(f"{name} is {str(values[name])[:40]!r}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and value >= 0


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _mapping_of(check: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def _optional(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _with_fields(**checks: Check) -> Check:
    """Return a check of objects that have all of these fields."""
    return lambda value: (
        isinstance(value, dict)
        and checks.keys() <= value.keys()
        and all(check(value[name]) for name, check in checks.items())
    )


def _is_near_duplicates(value: Any) -> bool:
    has_counts = _with_fields(searched=_is_count, separated=_is_count)
    return not value or (has_counts(value) and value["separated"] <= value["searched"])


_ABOUT: Mapping[str, Check] = {
    "acceleration": _is_mapping,
    "caveats": _list_of(_is_text),
    "classes": _list_of(_is_text),
    "column": _is_text,
    "data_fingerprint": _optional(_is_text),
    "errors": _mapping_of(_is_text),
    "groups": _optional(_is_count),
    "images": _is_count,
    "near_duplicates": _is_near_duplicates,
    "options": _is_mapping,
    "per_class": _optional(_mapping_of(_is_count)),
    "scores": _mapping_of(_with_fields(scaled=_is_number)),
    "seconds": _optional(_is_number),
    "threshold_by": _optional(_is_text),
    "tuned": _mapping_of(
        _mapping_of(
            _with_fields(params=_mapping_of(_is_number), tried=_is_count, out_of_time=_is_number)
        )
    ),
    "uncalibrated": _mapping_of(_is_number),
    "unlabelled": _optional(_is_count),
    "validation": _optional(_with_fields(scores=_mapping_of(_mapping_of(_is_number)))),
    "versions": _is_mapping,
    "votes": _mapping_of(_mapping_of(_list_of(_is_number))),
}
_TRIAL: Mapping[str, Check] = {
    "entries": _list_of(_is_text),
    "folds": _list_of(_is_text),
    "n_train": _optional(_is_count),
    "tested_on": _list_of(_is_text),
    "thresholds": _mapping_of(_list_of(_is_number)),
    "trained_on": _is_text,
}
