"""Tests of the file of labelling decisions."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pandas as pd
import portalocker
import pytest

from clipfeat.errors import LockedError, RefusedFileError, StorageError, UsageError
from clipfeat.features.decisions import ClassRecord, Decision, standing_labels
from clipfeat.labelling import label_log
from clipfeat.labelling.label_log import (
    HEADER,
    OLD_HEADER,
    append_decisions,
    check_label_file,
    checked_name,
    has_content_hashes,
    labels_beside,
    read_classes,
    read_decisions,
)


def test_decisions_come_back(tmp_path: Path) -> None:
    """Names with separators, quotes, accents and formulas are read back unchanged."""
    file = tmp_path / "labels.csv"
    assert read_decisions(file) == []
    names = ["a,b.png", 'a"b".png', "=1+2.png", "'=x.png", "ü 猫.png", "-1.png"]
    made = [
        Decision(name, f"={name}", "@ann", "2026-01-01T00:00:00.000000Z", key=f"{i:032x}")
        for i, name in enumerate(names)
    ]
    append_decisions(file, made)
    append_decisions(file, [Decision("a,b.png", "", "@ann", "2026-01-02", is_undo=True)])
    assert read_decisions(file) == [*made, Decision("a,b.png", "", "@ann", "2026-01-02", True)]
    text = file.read_text(encoding="utf-8")
    assert text.startswith("path,label,annotator,decided_at,key,decision\n")
    assert "\n=" not in text
    assert ",=" not in text
    assert len(text.splitlines()) == 8
    append_decisions(file, [Decision("b.png", "cat", "ann")])
    assert read_decisions(file)[-1].decided_at.endswith("Z")


def test_an_undo_restores_the_decision_before_it() -> None:
    """Each undo takes back one decision of this person on this image.

    An undo without such a decision has no effect.
    """

    def log(*steps: str) -> dict[str, dict[str, str]]:
        return standing_labels(
            Decision("1.png", "" if step == "undo" else step, "ann", is_undo=step == "undo")
            for step in steps
        )

    assert log("cat", "dog")["1.png"] == {"ann": "dog"}
    assert log("cat", "dog", "undo")["1.png"] == {"ann": "cat"}
    assert log("cat", "dog", "undo", "undo", "undo") == {}
    assert log("undo", "cat")["1.png"] == {"ann": "cat"}
    others = [Decision("1.png", "cat", "ann"), Decision("1.png", "", "bob", is_undo=True)]
    assert standing_labels(others) == {"1.png": {"ann": "cat"}}


SCRIPT = """
import sys
from clipfeat.features.decisions import Decision
from clipfeat.labelling.label_log import append_decisions
for i in range(40):
    append_decisions(sys.argv[1], [Decision(f"{i}.png", "c" * 3000, sys.argv[2])])
"""


def test_several_processes_append_whole_lines(tmp_path: Path) -> None:
    """If three processes append, no line is lost or mixed, and there is one header."""
    file = tmp_path / "labels.csv"
    running = [
        subprocess.Popen([sys.executable, "-c", SCRIPT, str(file), name])
        for name in ("ann", "bob", "cyd")
    ]
    assert [one.wait() for one in running] == [0, 0, 0]
    decisions = read_decisions(file)
    assert len(file.read_bytes().splitlines()) == 121
    for name in ("ann", "bob", "cyd"):
        own = [one for one in decisions if one.annotator == name]
        assert [one.path for one in own] == [f"{i}.png" for i in range(40)]
        assert {len(one.label) for one in own} == {3000}


@pytest.mark.parametrize("size", [0, 3, len(HEADER) - 1, len(HEADER), -1, -9, -30])
def test_a_line_that_was_cut_off_is_removed(tmp_path: Path, size: int) -> None:
    """An incomplete last line is removed, wherever it was cut. Complete lines are kept."""
    file = tmp_path / "labels.csv"
    append_decisions(file, [Decision("1.png", "cat", "ann"), Decision('2,".png', "dog", "ann")])
    data = file.read_bytes()
    file.write_bytes(data[:size])
    kept = {0: 0, 3: 0, len(HEADER) - 1: 0, len(HEADER): 0, -1: 2}.get(size, 1)
    if size not in (0, 3, len(HEADER) - 1):
        assert len(read_decisions(file)) == kept
    append_decisions(file, [Decision("3.png", "cat", "ann")])
    paths = [one.path for one in read_decisions(file)]
    assert paths == [*["1.png", '2,".png'][:kept], "3.png"]


def test_other_files_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table, a link, a pipe and a locked file are refused and not changed."""
    table = tmp_path / "labels.csv"
    table.write_text("path,label\n1.png,cat\n")
    with pytest.raises(RefusedFileError, match="not a file of decisions"):
        append_decisions(table, [Decision("1.png", "dog", "ann")])
    with pytest.raises(RefusedFileError, match="not a file of decisions"):
        read_decisions(table)
    assert table.read_text() == "path,label\n1.png,cat\n"
    (tmp_path / "link.csv").symlink_to(table)
    with pytest.raises(StorageError):
        append_decisions(tmp_path / "link.csv", [Decision("1.png", "dog", "ann")])
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(StorageError, match="not a regular file"):
        append_decisions(tmp_path / "pipe.csv", [Decision("1.png", "dog", "ann")])
    monkeypatch.setattr(label_log, "SECONDS", 0.0)
    new = tmp_path / "new.csv"
    with new.open("w") as other:
        portalocker.lock(other, portalocker.LOCK_EX)
        with pytest.raises(LockedError, match="another process has locked"):
            append_decisions(new, [Decision("1.png", "dog", "ann")])


def test_a_file_that_cannot_be_appended_to_is_refused_first(tmp_path: Path) -> None:
    """Files that cannot be appended to are errors before labelling starts.

    The check accepts a file that does not exist yet, and does not create it.
    """
    file = tmp_path / "labels.csv"
    check_label_file(file)
    assert not file.exists()
    append_decisions(file, [Decision("1.png", "cat", "ann")])
    check_label_file(file)
    (tmp_path / "link.csv").symlink_to(file)
    with pytest.raises(StorageError, match=r"link\.csv is a link"):
        check_label_file(tmp_path / "link.csv")
    with pytest.raises(StorageError, match="does not exist"):
        check_label_file(tmp_path / "no" / "labels.csv")
    data = file.read_bytes()
    for saved in (data.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + data, data.replace(b",", b";")):
        file.write_bytes(saved)
        with pytest.raises(RefusedFileError, match="A spreadsheet may have saved it"):
            check_label_file(file)
        assert file.read_bytes() == saved


def test_the_name_of_a_new_file_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is synchronised once, when the file is created."""
    flushed: list[bool] = []

    def flush(descriptor: int) -> None:
        flushed.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))

    monkeypatch.setattr(os, "fsync", flush)
    for _ in range(2):
        append_decisions(tmp_path / "labels.csv", [Decision("1.png", "cat", "ann")])
    assert flushed == [False, True, False]


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails halfway is undone, so that only complete lines remain."""
    file = tmp_path / "labels.csv"
    append_decisions(file, [Decision("1.png", "cat", "ann")])
    before = file.read_bytes()

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match="No space left"):
        append_decisions(file, [Decision("2.png", "cat", "ann")])
    assert file.read_bytes() == before


def test_names(tmp_path: Path) -> None:
    """Names of classes and people must be a single line of text."""
    assert checked_name(" a b ", "label") == "a b"
    for name in ("", " ", "a\nb", "a\x1b[2J", "x" * 70_000):
        with pytest.raises(UsageError, match="the label"):
            checked_name(name, "label")
    log = tmp_path / "labels.csv"
    for one in (
        Decision("a\nb.png", "cat", "ann"), Decision("", "cat", "ann"), Decision("1", "", "ann"),
        Decision("1", "cat", ""), Decision("1", "a\rb", "ann"),
    ):  # fmt: skip
        with pytest.raises(
            UsageError, match="an empty label, annotator or path, or one with a line"
        ):
            append_decisions(log, [one])
    assert not log.exists()
    marks = Decision("\u200f\x1b.png", "\u200f", "ann", "2026")  # as in names from right to left
    append_decisions(log, [marks])
    assert read_decisions(log) == [marks]
    with pytest.raises(UsageError, match="object store"):
        labels_beside("s3://bucket/out.h5")


def test_pandas_reads_the_file(tmp_path: Path) -> None:
    """Pandas reads the file as an ordinary CSV file."""
    append_decisions(tmp_path / "labels.csv", [Decision("a,b.png", "cat", "ann", "2026", key="0a")])
    table = pd.read_csv(tmp_path / "labels.csv", dtype=str)
    assert table.to_dict("records") == [
        {"path": "a,b.png", "label": "cat", "annotator": "ann", "decided_at": "2026",
         "key": "0a", "decision": "label"},
    ]  # fmt: skip


def test_classes_are_recorded_beside_decisions(tmp_path: Path) -> None:
    """Records of classes are not read as decisions, and an incomplete one is removed."""
    file = tmp_path / "labels.csv"
    classes = [ClassRecord("out.h5", name, "ann") for name in ("=cat", "dog")]
    append_decisions(file, [Decision("1.png", "dog", "ann")], classes)
    assert read_classes(file) == classes
    assert [one.path for one in read_decisions(file)] == ["1.png"]
    append_decisions(file, [], [ClassRecord("out.h5", "ant", "ann")])
    file.write_bytes(file.read_bytes()[:-3])
    append_decisions(file, [Decision("2.png", "dog", "ann")])
    assert read_classes(file) == classes
    assert len(read_decisions(file)) == 2


@pytest.mark.parametrize("cut", [None, -1, -9])
def test_a_file_without_content_hashes_is_continued(tmp_path: Path, cut: int | None) -> None:
    """A file of an earlier version keeps its columns, and its lines can still be read."""
    file = tmp_path / "labels.csv"
    assert has_content_hashes(file)
    old = OLD_HEADER + b"1.png,cat,ann,2026-01-01,label\n2.png,dog,ann,2026-01-02,label\n"
    file.write_bytes(old[:cut])
    assert not has_content_hashes(file)
    check_label_file(file)
    made = Decision("3.png", "cat", "ann", "2026-01-03", key="0a")
    append_decisions(file, [made], [ClassRecord("out.h5", "cat", "ann")])
    kept = ["1.png", "2.png"][: 1 if cut == -9 else 2]
    assert [one.path for one in read_decisions(file)] == [*kept, "3.png"]
    assert {one.key for one in read_decisions(file)} == {""}
    assert len(read_classes(file)) == 1
    assert len(pd.read_csv(file).columns) == 5
