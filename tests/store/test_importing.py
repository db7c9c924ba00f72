"""Tests of importing features of other tools."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.io import savemat

from clipfeat.errors import DataError, RefusedFileError, UsageError
from clipfeat.images.record import image_key
from clipfeat.store import load, verify
from clipfeat.store.importing import import_features

VALUES = np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float32)
NAMES = ["cat/1.png", "cat/2.png", "dog/3.png"]


def write_npy(folder: Path) -> None:
    np.save(folder / "features.npy", VALUES)


def write_splits(folder: Path) -> None:
    for number, rows in ((1, [0]), (2, []), (10, [1, 2])):
        np.save(folder / f"features_{number:02d}.npy", VALUES[rows])


def write_hdf5(folder: Path) -> None:
    with h5py.File(folder / "features.hdf5", "w") as h5:
        h5["features_02"], h5["features_01"] = VALUES[1:], VALUES[:1]


def write_mat(folder: Path) -> None:
    savemat(folder / "features.mat", {"features": VALUES})


def write_mat_by_name(folder: Path) -> None:
    savemat(folder / "features.mat", {f"cat{i}": row for i, row in enumerate(VALUES)})


def write_txt(folder: Path) -> None:
    np.savetxt(folder / "features.txt", VALUES)


LAYOUTS = [write_npy, write_splits, write_hdf5, write_mat, write_mat_by_name, write_txt]


def thingsvision(folder: Path, names: list[str], write: Callable[[Path], None] = write_npy) -> Path:
    folder.mkdir()
    write(folder)
    (folder / "file_names.txt").write_text("".join(f"{name}\n" for name in names))
    return folder


@pytest.mark.parametrize("write", LAYOUTS)
def test_thingsvision(tmp_path: Path, write: Callable[[Path], None]) -> None:
    """Every format of thingsvision is read, split or whole. Folders give the labels."""
    source = thingsvision(tmp_path / "tv", [f"/far/away/{name}" for name in NAMES], write)
    made = import_features(source, tmp_path / "out.h5", name="alexnet")
    features = load(tmp_path / "out.h5")
    assert np.array_equal(features.X, VALUES)
    assert features.paths.tolist() == NAMES
    assert features.labels.tolist() == ["cat", "cat", "dog"]
    assert features.specs[0].name == "imported:thingsvision/alexnet"
    assert (made.n_rows, made.n_by_bytes) == (3, 0)
    verify(tmp_path / "out.h5")


def test_phases_are_reported(
    tmp_path: Path, phases_of: Callable[[Callable[..., Any]], list[str]]
) -> None:
    """An import shows the phases of its work, and so does loading the file."""
    source = thingsvision(tmp_path / "tv", NAMES)
    out = tmp_path / "out.h5"
    run = partial(import_features, source, out, name="alexnet", overwrite=True)
    assert phases_of(run) == ["hashing", "listing", "copying", "merging"]
    assert phases_of(partial(load, out)) == ["loading"]


def test_clip_retrieval(tmp_path: Path) -> None:
    """The parts of clip-retrieval are read in order, as float16, with a column of captions."""
    for folder in ("img_emb", "metadata"):
        (tmp_path / "cr" / folder).mkdir(parents=True)
    for number, i in ((10, 2), (9, 1), (0, 0)):
        np.save(tmp_path / f"cr/img_emb/img_emb_{number}.npy", VALUES[i : i + 1].astype("f2"))
        table = {"image_path": [NAMES[i]], "caption": ["a cat" if i else None], "width": [5]}
        pd.DataFrame(table).to_parquet(tmp_path / f"cr/metadata/metadata_{number}.parquet")
    import_features(tmp_path / "cr", tmp_path / "out.h5", name="b32", class_folders=False)
    features = load(tmp_path / "out.h5")
    assert features.paths.tolist() == NAMES
    assert np.array_equal(features.X, VALUES)
    assert features.specs[0].dtype == "float16"
    assert set(features.columns) == {"caption"}
    assert features.columns["caption"].tolist() == ["", "a cat", "a cat"]
    assert not features.labels.any()
    (tmp_path / "cr/metadata/metadata_9.parquet").unlink()
    with pytest.raises(RefusedFileError, match=r"img_emb_9\.npy with .*metadata_9\.parquet"):
        import_features(tmp_path / "cr", tmp_path / "new.h5", name="b32")


def test_metadata_of_clip_retrieval_that_unpack_to_gigabytes(tmp_path: Path) -> None:
    """Such metadata are refused before unpacking."""
    for folder in ("img_emb", "metadata"):
        (tmp_path / folder).mkdir()
    n = 300
    np.save(tmp_path / "img_emb/img_emb_0.npy", np.zeros((n, 2), np.float16))
    captions = pa.DictionaryArray.from_arrays(pa.array([0] * n), pa.array(["x" * 2**20]))
    table = pa.table({"image_path": [f"{i}.png" for i in range(n)], "caption": captions})
    file = tmp_path / "metadata/metadata_0.parquet"
    pq.write_table(table, file, compression="zstd", store_schema=False)
    with pytest.raises(RefusedFileError, match="bytes would unpack to 31"):
        import_features(tmp_path, tmp_path / "out.h5", name="b32")


@pytest.mark.parametrize("prefix", ["", "photos/", "/far/away/"])
def test_keys_are_of_bytes_where_the_image_is_there(tmp_path: Path, prefix: str) -> None:
    """If an image is found by name, its key is the content hash."""
    images = tmp_path / "images"
    for name in ("cat/1.png", "dog/3.png"):
        (images / name).parent.mkdir(parents=True)
        (images / name).write_bytes(b"the same bytes")
    source = thingsvision(tmp_path / "tv", [prefix + name for name in NAMES])
    made = import_features(source, tmp_path / "out.h5", name="alexnet", images=images)
    features = load(tmp_path / "out.h5")
    of = dict(
        zip(features.paths.tolist(), zip(features.keys, features.X, strict=True), strict=True)
    )
    key = image_key(b"the same bytes").hex().encode()
    assert made.n_by_bytes == 2
    assert [of[name][0] == key for name in NAMES] == [True, False, True]
    assert [of[name][1].tolist() for name in NAMES] == [[1, 2], [3, 4], [1, 2]]
    verify(tmp_path / "out.h5")


@pytest.mark.parametrize("name", ["../secret.png", "cat/../../secret.png", "{folder}/secret.png"])
def test_names_that_lead_out_of_the_folder_are_not_opened(tmp_path: Path, name: str) -> None:
    """The names come from a stranger, and the key would tell whether a file is a known one."""
    (tmp_path / "images/cat").mkdir(parents=True)
    (tmp_path / "images/cat/2.png").write_bytes(b"image")
    (tmp_path / "secret.png").write_bytes(b"secret")
    source = thingsvision(tmp_path / "tv", [name.format(folder=tmp_path), *NAMES[1:]])
    made = import_features(source, tmp_path / "out.h5", name="x", images=tmp_path / "images")
    assert made.n_by_bytes == 1
    assert image_key(b"secret").hex().encode() not in load(tmp_path / "out.h5").keys.tolist()


def test_names_of_no_file(tmp_path: Path) -> None:
    """An empty name, and a name that is too long for the disk, are names of missing images."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images/2.png").write_bytes(b"image")
    source = thingsvision(tmp_path / "tv", ["a" * 5000, "", "2.png"])
    made = import_features(source, tmp_path / "out.h5", name="x", images=tmp_path / "images")
    plain = import_features(source, tmp_path / "plain.h5", name="x")
    assert (made.n_by_bytes, plain.n_rows) == (1, 3)


def test_labels_of_a_table(tmp_path: Path) -> None:
    """Labels of a table replace folder labels."""
    source = thingsvision(tmp_path / "tv", NAMES)
    (tmp_path / "labels.csv").write_text("path,label\n1,lion\n3.png,wolf\n")
    import_features(source, tmp_path / "out.h5", name="x", labels=tmp_path / "labels.csv")
    assert load(tmp_path / "out.h5").labels.tolist() == ["lion", "", "wolf"]


def test_rows_without_names_equal_no_others(tmp_path: Path) -> None:
    """Features without names get keys that occur in no other file."""
    for number in (1, 2):
        np.save(tmp_path / f"{number}.npy", VALUES * number)
        import_features(tmp_path / f"{number}.npy", tmp_path / f"{number}.h5", name="x")
    assert not set(load(tmp_path / "1.h5").keys) & set(load(tmp_path / "2.h5").keys)


def test_features_that_are_not_finite_are_failures(tmp_path: Path) -> None:
    """Non-finite features are failures. Rows and failures add up to all images."""
    source = thingsvision(tmp_path / "tv", NAMES)
    np.save(source / "features.npy", np.array([[1, 2], [np.nan, 0], [1e300, 0]]))
    made = import_features(source, tmp_path / "out.h5", name="x")
    assert load(tmp_path / "out.h5").paths.tolist() == ["cat/1.png"]
    assert [failure.path for failure in made.failures] == NAMES[1:]


def link(folder: Path) -> None:
    (folder / "features.npy").unlink()
    with h5py.File(folder / "features.hdf5", "w") as h5:
        h5["features"] = h5py.ExternalLink("/etc/passwd", "x")


def pickled(folder: Path) -> None:
    np.save(folder / "features.npy", np.array([[{}]], dtype=object))


def change(names: list[str] | None = None, values: Any = None) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        if names is not None:
            (folder / "file_names.txt").write_text("\n".join(names))
        if values is not None:
            np.save(folder / "features.npy", values)

    return apply


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (change(names=NAMES[:2]), DataError, "3 rows of features but 2 image names"),
        (change(names=["a", "b", "a"]), DataError, "several rows for 'a'"),
        (change(values=np.ones((3, 2, 2))), DataError, "must be a matrix"),
        (change(values=np.ones((3, 2), int)), DataError, "must be floats"),
        (write_txt, UsageError, r"several sets of features \(features.npy, features.txt\)"),
        (lambda folder: (folder / "features.npy").unlink(), UsageError, "has an unknown layout"),
        (pickled, RefusedFileError, "Python objects"),
        (link, RefusedFileError, "a soft or external link"),
    ],
)
def test_what_cannot_be_told_is_refused(
    tmp_path: Path, damage: Callable[[Path], None], error: type[Exception], message: str
) -> None:
    """Ambiguous or unsafe input is an error, and no file is written."""
    source = thingsvision(tmp_path / "tv", NAMES)
    damage(source)
    with pytest.raises(error, match=message):
        import_features(source, tmp_path / "out.h5", name="x")
    assert [path.name for path in tmp_path.iterdir()] == ["tv"]


def test_a_mat_file_that_unpacks_to_gigabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a file is refused by the sizes of its variables."""
    monkeypatch.setattr("clipfeat.store.foreign.MAX_UNPACKED", 2**20)
    savemat(tmp_path / "features.mat", {"features": np.zeros((500, 500))}, do_compression=True)
    with pytest.raises(RefusedFileError, match="bytes would unpack to 2000000 bytes"):
        import_features(tmp_path / "features.mat", tmp_path / "out.h5", name="x")
