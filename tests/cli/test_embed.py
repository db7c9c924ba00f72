"""Tests of ``clipfeat embed``."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipfeat.cli.parsing import parse_arguments
from clipfeat.errors import UsageError
from clipfeat.evaluate.splits import leave_one_out
from clipfeat.store import load, open_stored, provenance
from tests.cli.command_line import SPECTRUM, assert_fails, clipfeat, embed, succeed


def test_labels_come_from_class_folders(image_folder: Path) -> None:
    """The report counts the labels and suggests the next command."""
    result = succeed("embed", "images", "out.h5", *SPECTRUM)
    assert "labels: 12 fake, 12 real" in result.stdout
    assert "next: clipfeat benchmark out.h5" in result.stdout


@pytest.mark.usefixtures("impatient")
def test_progress_is_shown_on_standard_error(image_folder: Path) -> None:
    """Each phase is logged unless --no-progress is given. The summary shows the times."""
    result = succeed("embed", "images", "out.h5", *SPECTRUM)
    phases = [line.partition(":")[0] for line in result.stderr.splitlines()]
    assert list(dict.fromkeys(phases)) == [
        "listing", "opening", "checking files", "encoding", "merging"
    ]  # fmt: skip
    assert "encoding: 24/24 images in " in result.stderr
    assert re.search(
        r"24 images encoded in \d+\.\d s.*, \S+ images/s while encoding", result.stdout
    )
    assert succeed("embed", "images", "again.h5", *SPECTRUM, "--no-progress").stderr == ""


def test_paths_on_standard_input(image_folder: Path) -> None:
    """``-`` reads a list of paths."""
    names = "\n".join(str(path) for path in sorted(image_folder.rglob("*.png"))[:3])
    assert clipfeat("embed", "-", "out.h5", *SPECTRUM, stdin=names).exit_code == 0
    assert len(load("out.h5")) == 3


def test_several_sources(image_folder: Path) -> None:
    """The last path is the feature file. All others are sources."""
    succeed("embed", "images/real", "images/fake", "out.h5", *SPECTRUM)
    assert len(load("out.h5")) == 24


def test_profile_shows_each_stage(image_folder: Path) -> None:
    """``--profile`` prints every stage, even if no image is encoded."""
    result = succeed("embed", "images", "out.h5", *SPECTRUM, "--profile")
    assert all(stage in result.stdout for stage in ("read", "decode", "resize", "encode", "write"))
    assert "waited for" in result.stdout
    again = succeed("embed", "images", "out.h5", *SPECTRUM, "--profile")
    assert "0 images encoded" in again.stdout


@pytest.mark.filterwarnings("ignore:.*RANDOM weights")
def test_scaled_decoding_is_shown(image_folder: Path) -> None:
    """``--decode scaled`` is part of the encoder's title, also in `clipfeat info`."""
    options = ("--encoder", "timm:test_vit", "--untrained", "--device", "cpu")
    succeed("embed", "images/real", "out.h5", *options, "--decode", "scaled")
    assert "decode=scaled" in succeed("info", "out.h5").stdout
    assert_fails(clipfeat("embed", "images/real", "out.h5", *options), 6, "scaled-jpeg-1")


def test_failures_are_listed(image_folder: Path) -> None:
    """Failed images are printed. More of them than ``--max-bad`` give exit code 3."""
    (image_folder / "real" / "bad.png").write_text("text")
    result = succeed("embed", "images", "out.h5", *SPECTRUM)
    assert "real/bad.png: DecodeError: " in result.stdout
    assert clipfeat("embed", "images", "out.h5", *SPECTRUM, "--max-bad", 1).exit_code == 0
    assert clipfeat("embed", "images", "out.h5", *SPECTRUM, "--max-bad", 0).exit_code == 3


@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        ("real-00", "images/real/real-00.png exists. Pass --image-root "),
        ("images\\real\\real-00.png", "Replace the backslashes"),
        ("data/real-00.png", "images/real/real-00.png exists. Correct the folders"),
        ("none.png", "No such file or directory"),
    ],
)
def test_if_all_images_fail_the_likeliest_cause_is_named(
    image_folder: Path, path: str, remedy: str
) -> None:
    """The error gives the likeliest cause and a remedy, and the exit code is 1."""
    Path("table.csv").write_text(f"id,label\n{path},real\n")
    result = clipfeat("embed", "table.csv", "out.h5", *SPECTRUM)
    assert result.exit_code == 1
    assert "error: no image could be encoded. " in result.stderr
    assert remedy in result.stderr
    assert "next:" not in result.stdout


def test_image_root(image_folder: Path) -> None:
    """The ids of a table are looked up in ``--image-root``, which the report prints."""
    Path("table.csv").write_text("id,label\nreal-00,1\n")
    result = succeed("embed", "table.csv", "out.h5", *SPECTRUM, "--image-root", "images/real")
    assert f"paths are relative to {image_folder / 'real'}" in result.stdout
    assert load("out.h5").paths.tolist() == ["real-00.png"]
    assert "paths are relative" not in succeed("embed", "images", "o.h5", *SPECTRUM).stdout
    Path("table.csv").write_text("id,label\n")
    empty = clipfeat("embed", "table.csv", "new.h5", *SPECTRUM)
    assert_fails(empty, 1, "the table table.csv has a header, but no rows")


def test_skipped_files_are_counted(image_folder: Path) -> None:
    """The report and the feature file count the files that are no images, by kind."""
    for name in ("1.mat7", "2.mat7", "notes.txt", ".DS_Store"):
        (image_folder / "real" / name).write_text("text")
    result = succeed("embed", "images", "out.h5", *SPECTRUM)
    assert "4 files skipped: 2 .mat7, 1 .txt, 1 hidden" in result.stdout
    with open_stored("out.h5") as stored:
        assert provenance(stored)["skipped"] == {".mat7": 2, ".txt": 1, "hidden": 1}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("empty", "new.h5", *SPECTRUM), 1, "empty"),
        (("table.csv", "new.h5", "--label-col", "klass", *SPECTRUM), 2, "klass"),
        (("images", "new.h5", "--encoder", "clip-vit-b-23"), 2, "did you mean clip-vit-b-32"),
        (("images", "new.h5"), 1, "--weights"),
        (("images", "images/real/real-01.png", *SPECTRUM), 2, ".h5"),
        (("images", "new.h5", "--encoder", "spectrum", "--device", "cuda:77"), 2, "cuda:77"),
        (("images", "new.h5", *SPECTRUM, "--encoder-arg", "mean"), 2, "NAME=VALUE"),
        (("images", "new.h5", *SPECTRUM, "--engine", "ray", "--profile"), 2, "--profile"),
    ],
)
def test_mistakes(image_folder: Path, words: tuple[str, ...], code: int, message: str) -> None:
    """Each invalid command prints one line, has its exit code and writes no feature file."""
    Path("empty").mkdir()
    Path("table.csv").write_text("path,label\nimages/real/real-00.png,real\n")
    assert_fails(clipfeat("embed", *words), code, message)


def test_another_encoder_is_refused(image_folder: Path) -> None:
    """A feature file of one encoder is not extended with another encoder."""
    embed()
    assert_fails(clipfeat("embed", "images", "out.h5", *SPECTRUM, "--image-size", 32), 6, "out.h5")


@pytest.mark.parametrize(
    ("words", "missing"),
    [(("images",), "OUT.h5"), ((), "SOURCE"), (("--dry-run",), "SOURCE")],
)
def test_one_path_is_not_enough(image_folder: Path, words: tuple[str, ...], missing: str) -> None:
    """A source without a feature file is a usage error."""
    assert_fails(clipfeat("embed", *words), 2, f"Missing argument '{missing}'")


def detection_tree(root: Path) -> None:
    """Save images of three generators in folders like those of ForenSynths, with a split."""
    rng = np.random.default_rng(0)
    for above in ("train/progan/car", "train/progan/cat", "test/biggan", "test/cyclegan/apple"):
        for folder in ("0_real", "1_fake"):
            for i in range(6):
                path = root / above / folder / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)


def test_a_dry_run_prints_what_was_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--dry-run`` prints the classes, generators and splits, and writes nothing."""
    monkeypatch.chdir(tmp_path)
    detection_tree(tmp_path / "images")
    result = succeed("embed", "images", "--dry-run", "--encoder", "none-such")
    assert result.stdout == succeed("embed", "images", "out.h5", "--dry-run").stdout
    lines = [line.split() for line in result.stdout.splitlines()]
    assert result.stdout.startswith("48 images of the folder images, layout: ForenSynths\n")
    assert ["┃", "class", "┃", "generator", "┃", "train", "┃", "test", "┃", "images", "┃"] in lines
    assert ["│", "fake", "│", "progan", "│", "12", "│", "0", "│", "12", "│"] in lines
    assert ["│", "real", "│", "biggan", "│", "0", "│", "6", "│", "6", "│"] in lines
    assert "  test/biggan/0_real/0.png: class real, generator biggan, split test" in result.stdout
    assert list(Path().glob("*.h5*")) == []
    several = succeed("embed", "images/train", "images/test", "--dry-run", "--generator-level", 2)
    assert several.stdout.startswith("48 images of the folder images/train + ")


def test_a_generator_is_left_out_with_its_photographs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leaving out a generator also leaves out its photographs, in all categories."""
    monkeypatch.chdir(tmp_path)
    detection_tree(tmp_path / "images")
    result = succeed("embed", "images", "out.h5", *SPECTRUM)
    assert result.stdout.index("layout: ForenSynths") < result.stdout.index("48 images encoded")
    features = load("out.h5")
    splits = leave_one_out(features, "generator", 0)
    assert list(splits) == ["biggan", "cyclegan", "progan"]
    for generator, (train, test) in splits.items():
        above = {path.split("/")[1] for path in features.paths[test]}
        assert above == {generator}
        assert generator not in {path.split("/")[1] for path in features.paths[train]}
        assert set(features.labels[test]) == set(features.labels[train]) == {"real", "fake"}


def test_classes_by_patterns(image_folder: Path) -> None:
    """``--real`` and ``--fake`` label the images. A note counts the unlabelled ones."""
    words = ("--real", "real/*-0[1-5]*", "--fake", "fake", "--generator-level", 1)
    result = succeed("embed", "images", "out.h5", *SPECTRUM, *words)
    assert "labels: 12 fake, 5 real, 7 unlabelled" in result.stdout
    assert "note: 7 images are unlabelled, because neither --real nor --fake" in result.stdout
    assert_fails(clipfeat("embed", "images", "new.h5", "--real", "none"), 2, "matches no image")


def test_arguments_have_names_and_values() -> None:
    """Values are Python literals or text. Repeated options are combined."""
    assert parse_arguments([]) is None
    assert parse_arguments(["a=1", "b=x=y"]) == {"a": 1, "b": "x=y"}
    with pytest.raises(UsageError, match="NAME=VALUE"):
        parse_arguments(["=1"])
