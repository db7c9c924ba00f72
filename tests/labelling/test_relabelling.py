"""Tests of labels from tables, merged over people."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import cohen_kappa_score

from clipfeat.errors import ClipfeatWarning, LabelError, RefusedFileError, UnknownNameError
from clipfeat.features.decisions import Decision
from clipfeat.features.face_keys import face_key
from clipfeat.features.relabelling import relabelled
from clipfeat.images import open_source
from clipfeat.labelling import decided_images
from clipfeat.labelling.decided_images import check_shared_label_file
from clipfeat.labelling.label_log import HEADER, OLD_HEADER, append_decisions
from clipfeat.labelling.merging import MAX_COMPARED, MergedLabels, decisions_in, merged_labels
from clipfeat.labelling.relabelling import with_label_tables
from tests.conftest import make_features

EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def write(file: Path, *decisions: Decision) -> Path:
    append_decisions(file, decisions)
    return file


def test_the_last_decision_of_a_person_holds_across_files(tmp_path: Path) -> None:
    """The latest decision of a person counts, whatever the order of the files."""
    one = write(tmp_path / "a.csv", Decision("real/0000.png", "fake", "ann", LATE))
    other = write(tmp_path / "b.csv", Decision("real/0000.png", "real", "ann", EARLY),
                  Decision("fake/0005.png", "odd", "ann", EARLY))  # fmt: skip
    features = make_features(4)
    for tables in ([one, other], [other, one]):
        new_features, merged = with_label_tables(features, tables)
        assert new_features.labels.tolist() == [*["fake", "real", "real", "real"],
                                                *["fake", "odd", "fake", "fake"]]  # fmt: skip
        assert merged.disputed == {}
    assert set(new_features.classes) == {"real", "fake", "odd"}


def test_people_who_disagree(tmp_path: Path) -> None:
    """The majority decides. Without a majority, the image is contested and unlabelled."""
    say = {"ann": ["real", "real", "fake"], "bob": ["fake", "real", "fake"], "cyd": ["fake", "odd"]}
    tables = [
        write(tmp_path / f"{who}.csv",
              *(Decision(f"real/000{i}.png", label, who, EARLY) for i, label in enumerate(labels)))
        for who, labels in say.items()
    ]  # fmt: skip
    new_features, merged = with_label_tables(make_features(4), tables)
    assert new_features.labels[:4].tolist() == ["fake", "real", "fake", "real"]
    assert list(merged.disputed) == ["real/0000.png", "real/0001.png"]
    assert merged.contested == {}
    new_features, merged = with_label_tables(make_features(4), tables[:2])
    assert new_features.labels[:4].tolist() == ["", "real", "fake", "real"]
    assert merged.contested == {"real/0000.png": {"ann": "real", "bob": "fake"}}


def test_agreement_is_scikit_learns() -> None:
    """Kappa is computed per pair of people, on the images that both labelled."""
    rng = np.random.default_rng(0)
    first, second = rng.choice(["a", "b", "c"], (2, 40))
    given = {f"{i}": {"ann": str(a), "bob": str(b)}
             for i, (a, b) in enumerate(zip(first, second, strict=True))}  # fmt: skip
    given |= {"x": {"ann": "a"}, "y": {"cyd": "a", "dan": "a"}}
    ann_bob, cyd_dan = MergedLabels(given).agreements()
    assert ann_bob.annotators == ("ann", "bob")
    assert ann_bob.n_images == 40
    assert ann_bob.agreement == (first == second).mean()
    assert ann_bob.kappa == pytest.approx(cohen_kappa_score(first, second))
    assert cyd_dan.agreement == 1
    assert math.isnan(cyd_dan.kappa)


def test_the_number_of_compared_pairs_is_limited() -> None:
    """A thousand people in a table would be half a million pairs. Any number of classes works."""
    many = {f"{i}": {f"p{i % 1000:03d}": f"{i}", "ann": f"{i}", "bob": "a"} for i in range(30_000)}
    agreements = MergedLabels(many).agreements()
    people = {name for one in agreements for name in one.annotators}
    assert len(people) == MAX_COMPARED and people >= {"ann", "bob"}
    assert agreements[0].annotators == ("ann", "bob")
    assert (agreements[0].n_images, agreements[0].kappa) == (30_000, 0)


def test_ordinary_tables_are_the_work_of_one_person(tmp_path: Path) -> None:
    """Any table of labels counts as the labels of one person."""
    table = tmp_path / "t.csv"
    table.write_text("filename,class\n0000,cat\n0003.png,dog\n")
    features = make_features(4, ("real",))
    new_features, merged = with_label_tables(features, [table])
    assert new_features.labels.tolist() == ["cat", "real", "real", "dog"]
    assert merged.annotators == ["t.csv"]
    table.write_text("filename,class\n0000,cat\n0000.png,dog\n")
    with pytest.raises(LabelError, match="'cat' and 'dog'"):
        with_label_tables(features, [table])
    table.write_text("filename,class\nx/9.png,cat\n")
    with pytest.raises(LabelError, match="no image of the features is in"):
        with_label_tables(features, [table])
    table.write_text("filename,other\n0000,cat\n")
    with pytest.raises(UnknownNameError, match="no column of labels"):
        with_label_tables(features, [table])
    with pytest.raises(RefusedFileError, match=r"absent\.csv"):
        decisions_in(tmp_path / "absent.csv")


def test_decisions_need_the_whole_path(tmp_path: Path) -> None:
    """A decision for another feature file does not label an image with the same file name."""
    log = write(tmp_path / "labels.csv", Decision("0000.png", "odd", "ann", EARLY),
                Decision("real/0001.png", "odd", "ann", EARLY))  # fmt: skip
    new_features, _ = with_label_tables(make_features(2), [log])
    assert new_features.labels.tolist() == ["real", "odd", "fake", "fake"]


def test_frames_get_the_label_of_their_video() -> None:
    """A decision about a file applies to all its rows."""
    features = replace(
        make_features(2), columns={"file": np.array(["v.mp4", "v.mp4", "w.mp4", ""])}
    )
    new_features = relabelled(features, {"v.mp4": "cat", "fake/0003.png": ""})
    assert new_features.labels.tolist() == ["cat", "cat", "fake", ""]


def test_embed_reads_the_decisions(image_folder: Path) -> None:
    """`embed` accepts a file of decisions. Other images keep their folder labels."""
    log = write(
        image_folder / "labels.csv",
        Decision("real/real-00.png", "fake", "ann", EARLY),
        Decision("real/real-00.png", "real", "ann", LATE),
        Decision("fake/fake-00.png", "real", "ann", LATE),
        Decision("fake/fake-01.png", "fake", "ann", LATE),
        Decision("fake/fake-01.png", "", "ann", LATE, is_undo=True),
    )
    for source in (open_source(image_folder), open_source(image_folder, labels=log)):
        labels = {record.path: record.label for record in source}
        assert labels.pop("fake/fake-00.png") == "real"
        assert len(labels) == 23
        assert all(label == path.partition("/")[0] for path, label in labels.items())
        assert source.notes == ()
        assert all(not record.columns for record in source)


def test_decisions_without_times_come_first() -> None:
    """Decisions with a time replace labels of an ordinary table of the same person."""
    log, table = [Decision("1", "cat", "t.csv", EARLY)], [Decision("1", "dog", "t.csv")]
    assert merged_labels(log, table).labels == {"1": "cat"}


def test_a_clock_that_was_set_back() -> None:
    """Within a file, the order of the lines counts, not their times."""
    log = [Decision("1", "cat", "ann", LATE), Decision("1", "dog", "ann", EARLY)]
    assert merged_labels(log).labels == {"1": "dog"}
    assert merged_labels(log, [Decision("1", "odd", "ann", EARLY)]).labels == {"1": "dog"}


def test_decisions_about_other_images_are_left_out(tmp_path: Path) -> None:
    """An image with the same path, but other bytes, keeps its label."""
    features = make_features(4)
    own, other = features.keys[0].decode(), "f" * 32
    mixed = write(tmp_path / "mixed.csv", Decision("real/0000.png", "odd", "ann", LATE, key=own),
                  Decision("real/0001.png", "odd", "ann", LATE, key=other),
                  Decision("real/0002.png", "odd", "ann", LATE))  # fmt: skip
    with pytest.warns(ClipfeatWarning, match=r"1 other images .*'real/0001\.png'"):
        new_features, _ = with_label_tables(features, [mixed])
    assert new_features.labels[:4].tolist() == ["odd", "real", "odd", "real"]
    wrong = write(tmp_path / "w.csv", Decision("real/0000.png", "odd", "ann", LATE, key=other))
    with pytest.raises(LabelError, match=r"content hashes .* differ\. Pass the feature file"):
        with_label_tables(features, [wrong])


def test_faces_and_whole_images_share_decisions(tmp_path: Path) -> None:
    """A decision about a face labels the whole image, and the other way round."""
    whole = make_features(4)
    keys = [face_key(bytes.fromhex(key.decode()), "0").hex().encode() for key in whole.keys]
    faces = replace(
        whole, keys=np.array(keys), paths=np.char.add(whole.paths, "#face0"),
        columns={"file": whole.paths, "face": np.full(8, "0")},
    )  # fmt: skip
    for labelled, read in ((whole, faces), (faces, whole)):
        key = labelled.keys[0].decode()
        table = write(
            tmp_path / f"{key}.csv", Decision("real/0000.png", "odd", "ann", LATE, key=key)
        )
        new_features, _ = with_label_tables(read, [table])
        assert new_features.labels[0] == "odd"


def test_a_folder_cannot_use_decisions_about_two_images_of_one_path(tmp_path: Path) -> None:
    """`embed` refuses decisions about two images of one path, because it cannot tell them apart."""
    Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    write(tmp_path / "labels.csv", Decision("1.png", "cat", "ann", EARLY, key="a" * 32))
    assert [record.label for record in open_source(str(tmp_path))] == ["cat"]
    write(tmp_path / "labels.csv", Decision("1.png", "dog", "ann", LATE, key="b" * 32))
    with pytest.raises(RefusedFileError, match=r"different images with the path '1\.png'"):
        open_source(str(tmp_path))


def test_old_label_files_are_refused_if_paths_have_two_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file without content hashes is refused if it could label images of another file."""
    features = make_features(4)
    same, other = tmp_path / "same.h5", tmp_path / "other.h5"
    sets = {same: features, other: replace(features, keys=features.keys[::-1])}
    listed = [tmp_path / "own.h5", same]
    monkeypatch.setattr(decided_images, "feature_files_in", lambda folder: listed)
    monkeypatch.setattr(decided_images, "load", sets.__getitem__)
    file = tmp_path / "labels.csv"
    file.write_bytes(OLD_HEADER)
    check_shared_label_file(file, features, [tmp_path / "own.h5"])
    listed.append(other)
    with pytest.raises(RefusedFileError, match=r"other\.h5, in the same folder, so the label"):
        check_shared_label_file(file, features, [tmp_path / "own.h5"])
    file.write_bytes(HEADER)
    check_shared_label_file(file, features, [tmp_path / "own.h5"])
