"""Tests of exporting features for other programs."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import clipfeat
from clipfeat.errors import OutputExistsError, UnknownNameError, UsageError
from clipfeat.exporting.handoff import atlas, hand_off, hugging_face
from clipfeat.exporting.handoff.atlas import nearest
from clipfeat.report.run_folder import save_run
from tests.conftest import make_features, write_parts

pa = pytest.importorskip("pyarrow")


@pytest.fixture
def files(image_folder: Path) -> tuple[Path, Path]:
    """Return a feature file with a column that has a name of the export, and the image folder."""
    paths = sorted(p.relative_to(image_folder).as_posix() for p in image_folder.rglob("*.png"))
    features = make_features(12, ("fake", "real"), apart=4.0)
    columns = {
        "x": np.array(["=1+1"] * 24),
        "x_": np.array(["other"] * 24),
        "split": np.array(["train", "test"] * 12),
    }
    features = replace(features, paths=np.array(paths), columns=columns)
    return write_parts(image_folder.parent / "out.h5", features), image_folder


@pytest.fixture
def run(files: tuple[Path, Path], tmp_path: Path) -> Path:
    features = clipfeat.load(files[0])
    result = clipfeat.benchmark(features, "prototype", protocol=2, progress=False)
    save_run(result, tmp_path / "run", page=None)
    return tmp_path / "run"


@pytest.fixture(autouse=True)
def without_umap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atlas, "has_umap", lambda: False)


def table(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def test_atlas_has_images_coordinates_neighbours_and_predictions(
    files: tuple[Path, Path], run: Path, tmp_path: Path
) -> None:
    """The columns have the types that Embedding Atlas expects."""
    out = tmp_path / "new" / "atlas.parquet"
    done = hand_off(files[0], out, "atlas", images=[files[1]], run=run, progress=False)
    rows = table(out)
    assert (done.n_rows, done.n_images, len(rows)) == (24, 24, 24)
    assert str(out) in done.next_step
    features = clipfeat.load(files[0])
    for number, row in enumerate(rows):
        assert row["path"] == features.paths[number]
        assert row["image"]["bytes"].startswith(b"\xff\xd8")
        assert np.array_equal(np.array(row["vector"], np.float32), features.X[number])
        assert 0 <= row["x"] <= 1 and 0 <= row["y"] <= 1
        assert row["neighbors"]["ids"][0] == number
        assert len(row["neighbors"]["ids"]) == len(row["neighbors"]["distances"]) == 15
        assert (row["x__"], row["x_"]) == ("=1+1", "other")
        assert row["p_fake"] + row["p_real"] == pytest.approx(1)
        assert row["predicted"] == ("fake" if row["p_fake"] > row["p_real"] else "real")
    assert np.mean([row["predicted"] == row["label"] for row in rows]) > 0.8


def test_neighbours_are_sorted_and_begin_with_the_row_itself() -> None:
    """Each row is its own first neighbour, even if other rows are identical."""
    X = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    X[20:] = 2 * X[3]
    ids, distances = nearest(X)
    assert ids[:, 0].tolist() == list(range(30))
    assert (np.diff(distances, axis=1) >= 0).all()
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    exact = 1 - (unit[ids] * unit[:, None]).sum(axis=2)
    assert np.abs(exact - distances).max() < 1e-5


def test_datasets_reads_the_folder(files: tuple[Path, Path], run: Path, tmp_path: Path) -> None:
    """Without datasets, the test reads the JSON and Arrow files as datasets would."""
    hand_off(files[0], tmp_path / "ds", "datasets", images=[files[1]], run=run, progress=False)
    state = json.loads((tmp_path / "ds" / "state.json").read_text())
    info = json.loads((tmp_path / "ds" / "dataset_info.json").read_text())
    with pa.memory_map(str(tmp_path / "ds" / state["_data_files"][0]["filename"])) as file:
        content = pa.ipc.open_stream(file).read_all()
    assert set(info["features"]) == set(content.column_names)
    embedded = json.loads(content.schema.metadata[b"huggingface"])["info"]["features"]
    assert embedded == info["features"]
    first = content.slice(0, 1).to_pylist()[0]
    assert first["image"]["bytes"] == (files[1] / first["path"]).read_bytes()
    assert info["features"]["label"]["names"][first["label"]] == first["path"].split("/")[0]
    assert len(first["features"]) == info["features"]["features"]["length"] == 6


def test_datasets_opens_the_folder(files: tuple[Path, Path], tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    hand_off(files[0], tmp_path / "ds", "datasets", images=[files[1]], progress=False)
    read = datasets.load_from_disk(tmp_path / "ds")
    assert len(read) == 24
    assert read[0]["image"].size == (48, 48)


def test_batches_of_large_images_end_early(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches stay below Arrow's limit of 2 GiB. Each export has its own fingerprint."""
    monkeypatch.setattr(hugging_face, "BATCH_BYTES", 10_000)
    fingerprints = set()
    for name in ("one", "two"):
        hand_off(files[0], tmp_path / name, "datasets", images=[files[1]], progress=False)
        state = json.loads((tmp_path / name / "state.json").read_text())
        fingerprints.add(state["_fingerprint"])
    with pa.memory_map(str(tmp_path / "one" / state["_data_files"][0]["filename"])) as file:
        batches = list(pa.ipc.open_stream(file))
        assert len(batches) > 2
        assert sum(batch.num_rows for batch in batches) == 24
    assert len(fingerprints) == 2


def test_fiftyone_has_samples_beside_a_constant_script(
    files: tuple[Path, Path], run: Path, tmp_path: Path
) -> None:
    """The script is the same for every file, and names are never part of the code."""
    done = hand_off(
        files[0], tmp_path / "fo", "fiftyone", images=[files[1]], run=run, progress=False
    )
    content = json.loads((tmp_path / "fo" / "samples.json").read_text())
    sample = content["samples"][0]
    assert done.n_images == len(content["samples"]) == 24
    assert Path(sample["filepath"]).is_file() and Path(sample["filepath"]).is_absolute()
    assert sample["ground_truth"] == {"_cls": "Classification", "label": "fake"}
    assert sample["prediction"]["_cls"] == "Classification"
    assert 0.5 <= sample["prediction"]["confidence"] <= 1
    assert sample["tags"] == ["train"]
    assert np.load(tmp_path / "fo" / "features.npy").shape == (24, 6)
    assert np.load(tmp_path / "fo" / "points.npy").shape == (24, 2)
    script = (tmp_path / "fo" / "load.py").read_text()
    compile(script, "load.py", "exec")
    assert "samples.json" in script and "fake" not in script
    fiftyone = ModuleType("fiftyone")
    fiftyone.dataset_exists = lambda name: True  # type: ignore[attr-defined]
    main = load_script(tmp_path / "fo", fiftyone)["main"]
    with pytest.raises(SystemExit, match="the dataset fo exists"):
        main()


def load_script(folder: Path, fiftyone: ModuleType) -> dict[str, Any]:
    """Run the script of a folder with a stub of FiftyOne, and return its names."""
    names: dict[str, Any] = {"__file__": str(folder / "load.py"), "__name__": "load"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "fiftyone", fiftyone)
        exec(compile((folder / "load.py").read_text(), "load.py", "exec"), names)
    return names


def test_fields_of_fiftyone_have_valid_and_unique_names(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    """FiftyOne refuses or misreads names such as a.b, $x, _cls and the names of its methods."""
    hand_off(files[0], tmp_path / "fo", "fiftyone", images=[files[1]], progress=False)
    fiftyone = ModuleType("fiftyone")
    fiftyone.DynamicEmbeddedDocument = type("", (), {"clean": None})  # type: ignore[attr-defined]
    names = load_script(tmp_path / "fo", fiftyone)["field_names"](
        ["generator", "a b", "a.b", "$x", "_cls", "clean", "id", "", "\0"]
    )
    assert list(names.values()) == [
        "generator", "a_b", "a_b_", "x", "cls", "clean_", "id_", "column", "column_"
    ]  # fmt: skip


def test_maps_of_fiftyone_and_atlas_have_the_same_direction(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    for name, out in (("fiftyone", tmp_path / "fo"), ("atlas", tmp_path / "a.parquet")):
        hand_off(files[0], out, name, images=[files[1]], progress=False)
    rows = table(tmp_path / "a.parquet")
    expected = np.array([(row["x"], row["y"]) for row in rows])
    assert np.allclose(np.load(tmp_path / "fo" / "points.npy"), expected, atol=1e-6)


def test_without_images(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Tables are exported without images. The export for FiftyOne needs them."""
    done = hand_off(files[0], tmp_path / "a.parquet", "atlas", progress=False)
    assert (done.n_rows, done.n_images) == (24, 0)
    assert table(tmp_path / "a.parquet")[0]["image"]["bytes"] is None
    with pytest.raises(UsageError, match="Pass their folder with --images"):
        hand_off(files[0], tmp_path / "fo", "fiftyone", progress=False)
    assert not (tmp_path / "fo" / "load.py").exists()


def test_wrong_outputs_are_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    features = files[0]
    with pytest.raises(UnknownNameError, match="did you mean atlas"):
        hand_off(features, tmp_path / "a.parquet", "atlass", progress=False)
    with pytest.raises(UsageError, match=r"writes a \.parquet file"):
        hand_off(features, tmp_path / "a.csv", "atlas", progress=False)
    with pytest.raises(UsageError, match="a folder, without a suffix"):
        hand_off(features, tmp_path / "ds.parquet", "datasets", progress=False)
    (tmp_path / "ds").mkdir()
    (tmp_path / "ds" / "mine.txt").touch()
    with pytest.raises(OutputExistsError, match="ds exists"):
        hand_off(features, tmp_path / "ds", "datasets", progress=False)
