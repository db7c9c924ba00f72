"""Labels of tables, merged over people."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from clipfeat.errors import LabelError, RefusedFileError, UnknownNameError
from clipfeat.features.decisions import Decision
from clipfeat.features.relabelling import relabelled
from clipfeat.images import open_source
from clipfeat.labelling.label_log import append_decisions
from clipfeat.labelling.merging import MergedLabels, decisions_in, merged_labels
from clipfeat.labelling.relabelling import with_label_tables
from tests.conftest import make_features

EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def write(file: Path, *decisions: Decision) -> Path:
    append_decisions(file, decisions)
    return file


def test_the_last_decision_of_a_person_holds_across_files(tmp_path: Path) -> None:
    """Times decide between the files of one person, in any order of the files."""
    one = write(tmp_path / "a.csv", Decision("real/0000.png", "fake", "ann", LATE))
    other = write(tmp_path / "b.csv", Decision("real/0000.png", "real", "ann", EARLY),
                  Decision("fake/0005.png", "odd", "ann", EARLY))  # fmt: skip
    features = make_features(4)
    for tables in ([one, other], [other, one]):
        found, merged = with_label_tables(features, tables)
        assert found.labels.tolist() == [*["fake", "real", "real", "real"],
                                         *["fake", "odd", "fake", "fake"]]  # fmt: skip
        assert merged.disputed == {}
    assert set(found.classes) == {"real", "fake", "odd"}


def test_people_who_disagree(tmp_path: Path) -> None:
    """A majority decides. Without a majority, the image is contested and unlabelled."""
    say = {"ann": ["real", "real", "fake"], "bob": ["fake", "real", "fake"], "cyd": ["fake", "odd"]}
    tables = [
        write(tmp_path / f"{who}.csv",
              *(Decision(f"real/000{i}.png", label, who, EARLY) for i, label in enumerate(labels)))
        for who, labels in say.items()
    ]  # fmt: skip
    found, merged = with_label_tables(make_features(4), tables)
    assert found.labels[:4].tolist() == ["fake", "real", "fake", "real"]
    assert list(merged.disputed) == ["real/0000.png", "real/0001.png"]
    assert merged.contested == {}
    found, merged = with_label_tables(make_features(4), tables[:2])
    assert found.labels[:4].tolist() == ["", "real", "fake", "real"]
    assert merged.contested == {"real/0000.png": {"ann": "real", "bob": "fake"}}


def test_agreement_is_scikit_learns() -> None:
    """Kappa of each pair on the images that both labelled."""
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


def test_ordinary_tables_are_the_work_of_one_person(tmp_path: Path) -> None:
    """Usual names of columns, names without folders, and numbers of classes as in other tables."""
    table = tmp_path / "t.csv"
    table.write_text("filename,class\n0000,cat\n0003.png,dog\n")
    features = make_features(4, ("real",))
    found, merged = with_label_tables(features, [table])
    assert found.labels.tolist() == ["cat", "real", "real", "dog"]
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
    """A decision about an image of another feature file does not label one with its file name."""
    log = write(tmp_path / "labels.csv", Decision("0000.png", "odd", "ann", EARLY),
                Decision("real/0001.png", "odd", "ann", EARLY))  # fmt: skip
    found, _ = with_label_tables(make_features(2), [log])
    assert found.labels.tolist() == ["real", "odd", "fake", "fake"]


def test_frames_get_the_label_of_their_video() -> None:
    """A decision is about a file with all its rows."""
    features = replace(
        make_features(2), columns={"file": np.array(["v.mp4", "v.mp4", "w.mp4", ""])}
    )
    found = relabelled(features, {"v.mp4": "cat", "fake/0003.png": ""})
    assert found.labels.tolist() == ["cat", "cat", "fake", ""]


def test_embed_reads_the_decisions(image_folder: Path) -> None:
    """A file of decisions labels sources, too. Other images keep the labels of their folders."""
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
    """An ordinary table of a person is older than the person's decisions."""
    log, table = [Decision("1", "cat", "t.csv", EARLY)], [Decision("1", "dog", "t.csv")]
    assert merged_labels(log, table).labels == {"1": "cat"}


def test_a_clock_that_was_set_back() -> None:
    """The order of the lines in a file counts more than their times."""
    log = [Decision("1", "cat", "ann", LATE), Decision("1", "dog", "ann", EARLY)]
    assert merged_labels(log).labels == {"1": "dog"}
    assert merged_labels(log, [Decision("1", "odd", "ann", EARLY)]).labels == {"1": "dog"}
