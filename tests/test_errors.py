"""Tests of exceptions and their messages."""

import inspect

import pytest

from clipfeat import errors
from clipfeat.errors import ClipfeatError, unknown_name

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if c is not ClipfeatError]
CLASSES = [c for c in CLASSES if c.__module__ == "clipfeat.errors"]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_is_listed_and_derives_from_a_builtin(kind: type[Exception]) -> None:
    """The module docstring lists each class, and each derives from a built-in one."""
    if issubclass(kind, ClipfeatError):
        assert kind.__name__ in (errors.__doc__ or "")
    if kind.__name__ not in {"ImageError", "ClipfeatWarning"}:
        assert issubclass(kind, ValueError | OSError | ArithmeticError | ImportError | LookupError)


def test_unknown_name_shows_the_nearest() -> None:
    """The error for a misspelt name lists the nearest names, or all if they are few."""
    assert "did you mean svm" in str(unknown_name("classifier", "svn", ["svm", "knn"]))
    many = [f"name{i}" for i in range(100)]
    assert str(unknown_name("thing", "zzz", many)) == "unknown thing 'zzz'. Check the spelling"
    assert str(unknown_name("thing", "zzz", ["a"])) == "unknown thing 'zzz'. Known: a"
