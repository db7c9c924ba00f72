"""The commands around feature files: verify, merge, export, import."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from clipfeat.cli import app
from clipfeat.store import load

SPECTRUM = ("--encoder", "spectrum", "--device", "cpu")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def clipfeat(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_tools_of_a_feature_file(image_folder: Path) -> None:
    """Two folders are embedded, merged, checked and exported, and found by the next embedding."""
    for name in ("real", "fake"):
        assert clipfeat("embed", f"images/{name}", f"{name}.h5", *SPECTRUM).exit_code == 0
    result = clipfeat("merge", "real.h5", "fake.h5", "-o", "out.h5")
    assert result.exit_code == 0, result.stderr
    assert "out.h5: 24 rows of 2 files" in result.stdout
    assert clipfeat("merge", "real.h5", "-o", "out.h5").exit_code == 2
    result = clipfeat("embed", "images", "out.h5", *SPECTRUM)
    assert "0 images encoded" in result.stdout
    assert load("out.h5").classes == ("real", "fake")
    result = clipfeat("verify", "out.h5")
    assert result.exit_code == 0, result.stderr
    assert "out.h5: whole; 24 rows, 0 failures" in result.stdout
    result = clipfeat("export", "out.h5", "-o", "x.parquet")
    assert result.exit_code == 0, result.stderr
    assert "x.parquet: 24 rows" in result.stdout
    result = clipfeat("export", "out.h5", "-o", "x.xlsx")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


def test_damage_is_exit_code_6(image_folder: Path) -> None:
    """A flipped bit of a feature file or a model file is refused by name."""
    assert clipfeat("embed", "images", "out.h5", *SPECTRUM).exit_code == 0
    assert clipfeat("fit", "out.h5", "--cv", 0).exit_code == 0
    assert "model.clipfeat: whole; logreg" in clipfeat("verify", "model.clipfeat").stdout
    features = load("out.h5").X[3].tobytes()
    for name, middle in (("out.h5", features), ("model.clipfeat", b"PK\3\4")):
        data = bytearray(Path(name).read_bytes())
        data[data.index(middle) + 2] ^= 1
        Path(name).write_bytes(data)
        result = clipfeat("verify", name)
        assert result.exit_code == 6
        assert name in result.stderr
    assert clipfeat("verify", "none.h5").exit_code == 6


def test_an_import_is_fitted_as_any_other(image_folder: Path) -> None:
    """Features of another tool, joined by the images' bytes, become a feature file to fit on."""
    names = sorted(
        path.relative_to(image_folder).as_posix() for path in image_folder.rglob("*.png")
    )
    Path("tv").mkdir()
    np.save("tv/features.npy", np.random.default_rng(0).normal(size=(24, 4)))
    Path("tv/file_names.txt").write_text("\n".join(names) + "\n")
    result = clipfeat("import", "tv", "-o", "tv.h5", "--name", "alexnet", "--images", "images")
    assert result.exit_code == 0, result.stderr
    assert "by imported:thingsvision/alexnet" in result.stdout
    assert "keys: 24 of the images' bytes, 0 of their paths" in result.stdout
    assert "labels: fake 12, real 12" in result.stdout
    assert clipfeat("embed", "images", "out.h5", *SPECTRUM).exit_code == 0
    result = clipfeat("fit", "tv.h5", "out.h5", "--cv", 0)
    assert result.exit_code == 0, result.stderr
    assert clipfeat("import", "images", "-o", "x.h5", "--name", "x").exit_code == 2
