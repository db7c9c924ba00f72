"""Tests that flipped bits and truncations are refused or harmless."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np

from clipfeat.errors import RefusedFileError
from clipfeat.evaluate.fitting import fit
from clipfeat.model import load_model
from clipfeat.store import FeatureWriter, load
from clipfeat.store.reading import part_paths
from tests.conftest import make_features, make_spec
from tests.store.test_store import filled, row, values


def damages(data: bytes, n: int) -> list[bytes]:
    """Return damaged copies of a file: mostly with one flipped bit, every eighth truncated."""
    random.seed(n)
    copies = []
    for number in range(n):
        place = random.randrange(len(data))
        flipped = bytearray(data)
        flipped[place] ^= 1 << random.randrange(8)
        copies.append(data[:place] if number % 8 == 7 else bytes(flipped))
    return copies


def hold(path: Path, read: Callable[[], object], n: int) -> int:
    """Damage a file `n` times and count the refusals. If a copy is read, its values are right."""
    whole, expected, refused = path.read_bytes(), read(), 0
    for damaged in damages(whole, n):
        path.write_bytes(damaged)
        try:
            assert read() == expected
        except RefusedFileError as error:
            assert path.name in str(error)
            refused += 1
    path.write_bytes(whole)
    return refused


def test_a_feature_file(tmp_path: Path, full: bool) -> None:
    """A damaged snapshot or part is refused or reads unchanged."""
    path = filled(tmp_path / "out.h5")
    with FeatureWriter(path, make_spec(n_features=3), root="/photos") as writer:
        writer.append([row("more", 7, "cat")], values(7))
    (part,) = part_paths(path)

    def read() -> object:
        features = load(path)
        return features.to_pandas().to_dict(), features.failures, features.specs

    n = 200 if full else 20
    assert hold(path, read, n) > n // 4
    assert hold(part, read, n) > n // 4


def test_a_model_file(tmp_path: Path, full: bool) -> None:
    """A damaged model file is refused or predicts unchanged."""
    features = make_features()
    path = fit(features, "logreg,lgbm", cv=0).save(tmp_path / "model.clipfeat")

    def read() -> object:
        return np.asarray(load_model(path).predict_proba(features)).tolist()

    n = 60 if full else 10
    assert hold(path, read, n) > n // 2
