"""Tests of features that are read in blocks."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipfeat.errors import DataError
from clipfeat.features import FeatureSet
from clipfeat.store import FeatureWriter, Row, load, merging
from clipfeat.store.generations import shards_folder
from clipfeat.store.streaming import StreamedFeatures, bytes_in_memory, stream
from tests.conftest import make_features, make_spec, write_parts


def in_blocks(features: FeatureSet, sizes: Sequence[int]) -> StreamedFeatures:
    """Stream in-memory features in blocks of the given sizes."""
    ends = np.cumsum(sizes)
    blocks = np.split(features.X, ends[ends < len(features)])
    number = np.arange(len(features), dtype=np.float64)[:, None]
    numbers = replace(features, X=number, specs=())  # type: ignore[arg-type]
    return StreamedFeatures(lambda: iter(blocks), numbers, features.specs)


@given(st.lists(st.integers(0, 39), min_size=1), st.lists(st.integers(0, 9), min_size=1))
def test_rows_are_looked_up_by_number(numbers: list[int], sizes: list[int]) -> None:
    """Any selection of rows equals NumPy's, for any block size."""
    features = make_features()
    selection = np.sort(numbers)
    read = list(in_blocks(features, sizes).rows(selection))
    assert np.array_equal(np.concatenate([X for _, X in read]), features.X[selection])
    places = np.concatenate([np.arange(len(selection))[place] for place, _ in read])
    assert np.array_equal(places, np.arange(len(selection)))


@pytest.mark.parametrize("sharded", [False, True])
def test_a_streamed_file_is_the_loaded_one(
    sharded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streamed features equal loaded ones, for parts, shards, replaced rows and groups."""
    monkeypatch.setattr(merging, "SHARDED_ABOVE", 0)
    monkeypatch.setattr(merging, "SHARD_BYTES", 1000)
    some = make_features(30, ("10", "9"), groups=True)
    frames = np.array([f"clip{i // 3}" if i % 2 else "" for i in range(60)])
    paths = [f"{file}#{i}" if (file := frames[i]) else some.paths[i] for i in range(60)]
    some = replace(
        some,
        y=np.where(np.arange(60) % 7, some.y, -1),
        paths=np.array(paths),
        columns={"file": frames},
    )
    path = write_parts(tmp_path / "out.h5", some)
    with FeatureWriter(path, some.specs[0]) as writer:
        again = Row("10/0004.png", some.keys[4][:16], "9", "g4")
        writer.append([again], np.ones((1, 6), dtype=np.float32))
        if sharded:
            writer.finish()
    assert sharded == shards_folder(path).exists()
    loaded = load(path)
    with stream(path) as streamed:
        numbers = streamed.numbers
        read = [X for _, X in streamed.rows(np.arange(60))]
        assert np.array_equal(np.concatenate(read), loaded.X)
        assert len(read) > 2
        assert numbers.classes == loaded.classes
        for name in ("y", "keys", "groups", "split_groups", "files"):
            assert np.array_equal(getattr(numbers, name), getattr(loaded, name)), name
    assert bytes_in_memory(path) == loaded.X.nbytes


def test_the_name_of_the_weights_is_kept(tmp_path: Path) -> None:
    """A model fitted on streamed features names its weights file."""
    features = make_features()
    spec = make_spec(weights="12ab")
    with FeatureWriter(tmp_path / "out.h5", spec) as writer:
        writer.provenance = {"weights": "/models/vit.pt"}
        pairs = zip(features.paths, features.keys, strict=True)
        rows = [Row(path, key[:16], "", "") for path, key in pairs]
        writer.append(rows, features.X)
        writer.finish()
    with stream(tmp_path / "out.h5") as streamed:
        assert streamed.numbers.weight_files == {"12ab": "vit.pt"}


def test_layers_are_chosen_block_by_block(tmp_path: Path) -> None:
    """Selecting layers gives the same features as in memory."""
    spec = make_spec(layer="0,1,last", widths=(1, 2, 3))
    path = write_parts(tmp_path / "out.h5", replace(make_features(), specs=(spec,)))
    expected = load(path).narrowed("last,0")
    with stream(path) as streamed:
        few = streamed.narrowed("last,0")
        assert few.specs == expected.specs
        read = np.concatenate([X for _, X in few.rows(np.arange(40))])
    assert np.array_equal(read, expected.X)


def test_what_is_not_finite_is_named() -> None:
    """The error for a non-finite value states the row number."""
    features = make_features()
    X = features.X.copy()
    X[17, 2] = np.nan
    wrong = replace(in_blocks(features, [9]), read=lambda: iter([X[:9], X[9:]]))
    with pytest.raises(DataError, match="row 17"):
        list(wrong.rows(np.arange(10, 40)))
