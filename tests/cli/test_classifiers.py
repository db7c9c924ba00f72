"""Tests of ``clipfeat classifiers``."""

from clipfeat.zoo import PROJECTIONS, classifiers
from tests.cli.command_line import succeed


def test_every_name_is_listed() -> None:
    """Classifiers and projections are listed with their descriptions."""
    listed = succeed("classifiers").stdout
    assert all(name in listed for name in [*classifiers(), *PROJECTIONS])
