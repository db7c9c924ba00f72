"""Tests of several embedding runs at the same time, in threads of one process."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import clipfeat
from clipfeat.store import writing


def test_four_threads_write_different_files(
    image_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Four threads commit several parts each, and all files are equal."""
    monkeypatch.setattr(writing, "COMMIT_ROWS", 3)
    outputs = [tmp_path / f"{number}.h5" for number in range(4)]
    with ThreadPoolExecutor(4) as threads:
        runs = [
            threads.submit(clipfeat.embed, image_folder, output, encoder="spectrum")
            for output in outputs
        ]
    assert {run.result().n_rows for run in runs} == {24}
    first, *others = [clipfeat.load(output) for output in outputs]
    for other in others:
        assert other.paths.tolist() == first.paths.tolist()
        np.testing.assert_array_equal(other.X, first.X)
