"""Tests of ``clipfeat adapt``."""

from pathlib import Path

from tests.cli.command_line import assert_fails, clipfeat, embed, rehash, succeed


def test_a_model_file_is_adapted_and_restored(image_folder: Path) -> None:
    """`clipfeat info` shows the adaptation, and --undo restores the original model."""
    embed()
    succeed("fit", "--cv", 0)
    before = Path("model.clipfeat").read_bytes()
    words = ("adapt", "model.clipfeat")
    assert_fails(
        clipfeat(*words, "images", "--device", "cpu", "--no-progress"), 1, "24 training images"
    )
    rehash(image_folder)
    shown = succeed(*words, "images", "--device", "cpu").stdout
    assert "Adapted with 24 labelled images: " in shown
    assert "cross-validated on the 24 images: accuracy 1.0000 → 1.0000" in shown
    assert "Adapted with 24 labelled images: " in succeed("info", "model.clipfeat").stdout
    assert "fake" in succeed("predict", "model.clipfeat", "images", "--device", "cpu").stdout
    exported = succeed("export", "model.clipfeat", "-o", "x.skops")
    assert "x.skops holds only the estimator" in exported.stderr
    assert_fails(clipfeat(*words, "--undo", "-o", "x.skops"), 2, "x.skops exists")
    assert "the original model" in succeed(*words, "--undo").stdout
    assert Path("model.clipfeat").read_bytes() == before
    assert_fails(clipfeat(*words, "--undo"), 2, "no adaptation")
    assert_fails(clipfeat(*words), 2, "images of the new domain")


def test_labels_of_a_table_and_unlabelled_images(image_folder: Path) -> None:
    """A table can give the labels. Without labels, the assumption is printed."""
    embed()
    succeed("fit", "--cv", 0)
    rehash(image_folder)
    names = []
    for folder in ("real", "fake"):
        for path in sorted((image_folder / folder).iterdir()):
            path.rename(image_folder / path.name)
            names.append(f"{path.name},{folder}")
    Path("t.csv").write_text("\n".join(["path,label", *names[:6], *names[-6:]]))
    words = ("adapt", "model.clipfeat", "images", "--device", "cpu")
    shown = succeed(*words, "--labels", "t.csv", "-o", "new.clipfeat").stdout
    assert "Adapted with 12 labelled images" in shown
    shown = succeed(*words).stdout
    assert "Adapted with 24 unlabelled images" in shown
    assert "assumes that the images of each class look like those of the training set" in shown
    for file in ("model.clipfeat", "new.clipfeat"):
        succeed("adapt", file, "--undo")
    assert Path("model.clipfeat").read_bytes() == Path("new.clipfeat").read_bytes()
    few = ("path,label", *names[:6])
    Path("t.csv").write_text("\n".join(few))
    assert_fails(clipfeat(*words, "--labels", "t.csv", "--no-progress"), 1, "(0 fake, 6 real)")
