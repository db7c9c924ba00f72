"""Tests of the layouts of published data sets, from lists of paths."""

from collections.abc import Mapping
from pathlib import Path
from random import Random
from shutil import make_archive

import pytest

from clipfeat.images import open_source
from clipfeat.images.layout_table import LAYOUTS
from clipfeat.images.layouts import Understood, understand
from clipfeat.images.manifest import TableColumns

Values = tuple[str, dict[str, str]]


def read(folders: list[str], *, root: str = "") -> tuple[Understood, dict[str, Values]]:
    """Recognise a layout from one image in each folder, and return the labels and columns."""
    paths = [(*folder.split("/"), "1.png") for folder in folders]
    understood = understand(paths, root=root)
    values = [(value.label, dict(value.columns)) for value in understood.values]
    return understood, dict(zip(folders, values, strict=True))


def of(generator: str = "", **columns: str) -> dict[str, str]:
    return {"generator": generator, **columns} if generator else columns


LISTED: dict[str, Mapping[str, Values]] = {
    "ForenSynths": {
        "train/car/0_real": ("real", of("progan", category="car", split="train")),
        "train/car/1_fake": ("fake", of("progan", category="car", split="train")),
        "train/train/1_fake": ("fake", of("progan", category="train", split="train")),
        "val/cat/1_fake": ("fake", of("progan", category="cat", split="val")),
        "test/progan/airplane/0_real": ("real", of("progan", category="airplane", split="test")),
        "test/progan/cat/1_fake": ("fake", of("progan", category="cat", split="test")),
        "test/progan/train/1_fake": ("fake", of("progan", category="train", split="test")),
        "test/cyclegan/apple/1_fake": ("fake", of("cyclegan", category="apple", split="test")),
        "test/biggan/0_real": ("real", of("biggan", split="test")),
        "test/biggan/1_fake": ("fake", of("biggan", split="test")),
    },
    "AIGIBench": {
        "FLUX1-dev/0_real": ("real", of("FLUX1-dev")),
        "FLUX1-dev/1_fake": ("fake", of("FLUX1-dev")),
        "Infinite-ID/0_real": ("real", of("Infinite-ID")),
        "Infinite-ID/1_fake/x": ("fake", of("Infinite-ID")),
    },
    "GenImage": {
        "SD/imagenet_ai_0419_sdv4/train/ai": ("fake", of("sdv4", split="train")),
        "SD/imagenet_ai_0419_sdv4/train/nature": ("real", of("sdv4", split="train")),
        "SD/imagenet_ai_0424_sdv5/val/ai": ("fake", of("sdv5", split="val")),
        "SD/imagenet_ai_0424_sdv5/val/nature": ("real", of("sdv5", split="val")),
        "Midjourney/imagenet_midjourney/val/ai": ("fake", of("midjourney", split="val")),
        "Midjourney/imagenet_midjourney/val/nature": ("real", of("midjourney", split="val")),
    },
    "DIRE": {
        "train/imagenet/real": ("real", of(category="imagenet", split="train")),
        "train/imagenet/adm": ("fake", of("adm", category="imagenet", split="train")),
        "test/lsun_bedroom/real": ("real", of(category="lsun_bedroom", split="test")),
        "test/lsun_bedroom/sdv1": ("fake", of("sdv1", category="lsun_bedroom", split="test")),
    },
    "generators beside the photographs": {
        "real": ("real", {}),
        "adm": ("fake", of("adm")),
        "sdv1": ("fake", of("sdv1")),
    },
    "generators below the fake images": {
        "set/real/coco": ("real", of(source="coco")),
        "set/real": ("real", {}),
        "set/fake/midjourney": ("fake", of("midjourney")),
        "set/fake/unheard": ("fake", of("unheard")),
    },
    "generators and collections of photographs": {
        "DRCT-2M/sd-turbo/val2017": ("fake", of("sd-turbo", split="val")),
        "DRCT-2M/lcm-lora-sdxl/train2017": ("fake", of("lcm-lora-sdxl", split="train")),
        "synthbuster/dalle3": ("fake", of("dalle3")),
        "MSCOCO/val2017": ("real", of(source="MSCOCO", split="val")),
        "RAISE": ("real", of(source="RAISE")),
    },
    "DMimageDetection": {
        "TestSet/real_coco_valid": ("real", of(source="coco_valid")),
        "TestSet/real_ucid": ("real", of(source="ucid")),
        "TestSet/biggan_256": ("fake", of("biggan_256")),
        "TestSet/eg3d": ("fake", of("eg3d")),
        "TestSet/latent-diffusion_FFHQ": ("fake", of("latent-diffusion_FFHQ")),
    },
    "UniversalFakeDetect": {
        "imagenet/0_real": ("real", of(source="imagenet")),
        "laion/0_real": ("real", of(source="laion")),
        "guided/1_fake": ("fake", of("guided")),
        "ldm_200/1_fake": ("fake", of("ldm_200")),
    },
    "Celeb-DF": {
        "Celeb-real": ("real", of(source="Celeb")),
        "YouTube-real": ("real", of(source="YouTube")),
        "Celeb-synthesis": ("fake", {}),
    },
    "FaceForensics++": {
        "original_sequences/youtube/c23/videos":
            ("real", of(source="youtube", compression="c23")),
        "manipulated_sequences/Deepfakes/c23/videos":
            ("fake", of("Deepfakes", compression="c23")),
    },
    "classes above categories": {
        "real/cat": ("real", of(category="cat")),
        "real/dog": ("real", of(category="dog")),
        "fake/dog": ("fake", of(category="dog")),
    },
    "classes below generators": {
        "sd14/train/real": ("real", of("sd14", split="train")),
        "sd14/train/fake": ("fake", of("sd14", split="train")),
        "unheard/val/fake/x": ("fake", of("unheard", split="val")),
    },
    "two classes": {"real": ("real", {}), "fake": ("fake", {})},
}  # fmt: skip
"""The label and columns of each folder, by layout."""


@pytest.mark.parametrize("layout", LISTED)
def test_published_layouts_are_understood(layout: str) -> None:
    """Each layout gives classes, generators, categories and splits, in any path order."""
    folders = list(LISTED[layout])
    understood, values = read(folders)
    assert understood.layout == layout
    assert understood.is_complete
    assert values == LISTED[layout]
    Random(0).shuffle(folders)
    assert read(folders)[1] == values


def test_every_row_of_the_table_is_tested() -> None:
    """Every layout in the table has a test."""
    assert {layout.name for layout in LAYOUTS} == set(LISTED)


@pytest.mark.parametrize(
    ("root", "folders", "generator"),
    [
        ("stylegan", ["bedroom/0_real", "car/1_fake", "cat/1_fake"], "stylegan"),
        ("imagenet_ai_0419_sdv4", ["train/ai", "val/nature"], "sdv4"),
        (
            "images",
            ["CNN_synth_testset/biggan/0_real", "CNN_synth_testset/biggan/1_fake"],
            "biggan",
        ),
        ("images", ["set/a/0_real", "set/b/1_fake"], "b"),
    ],
)
def test_the_level_of_the_generator(root: str, folders: list[str], generator: str) -> None:
    """The generator may be the source folder itself, or be below other folders."""
    _, values = read(folders, root=root)
    assert {columns["generator"] for label, columns in values.values() if label == "fake"} == {
        generator
    }


def test_several_data_sets_in_one_folder() -> None:
    """Each top folder may have its own layout."""
    folders = ["a/progan/x/0_real", "a/progan/x/1_fake", "b/imagenet_ai_0419_sdv4/val/ai",
               "b/imagenet_ai_0419_sdv4/val/nature"]  # fmt: skip
    understood, values = read(folders)
    assert understood.layout == "ForenSynths and GenImage"
    assert [columns["generator"] for _, columns in values.values()] == ["progan"] * 2 + ["sdv4"] * 2


@pytest.mark.parametrize(
    "folders",
    [
        ["cat", "dog/deep"], ["nature", "city"], ["real", "gan", "diffusion"], ["real"],
        ["real/cat", "sketch/cat"], ["a/real", "a/other"], ["coco", "voc"],
        ["train", "cat", "dog"], ["real/fake", "fake/real"],
    ],
)  # fmt: skip
def test_other_folders_are_classes(folders: list[str]) -> None:
    """Without a published layout, the top folder is the class."""
    understood, values = read(folders)
    assert understood.layout == "class folders"
    assert values == {folder: (folder.split("/")[0], {}) for folder in folders}


@pytest.mark.parametrize(
    ("folders", "note"),
    [
        (["progan/0_real", "progan/1_fake", "other"], "--real '**/0_real' --fake '**/1_fake'"),
        (["real", "unheard", "unseen"], "--fake 'unheard' --fake 'unseen' --generator-level 1"),
        (["real", "fake/unheard"], "unheard is taken for a generator"),
        (["car/0_real", "car/1_fake"], "categories of the training set of ForenSynths"),
        (["x/a/0_real", "x/a/1_fake", "y/a/1_fake"], "x and y are taken for generators"),
        (["real", "sdxl", "unheard"], "unheard is taken for a generator"),
        (["sdxl", "dalle3"], "--fake '**' --generator-level 1"),
        (["images/cat", "images/dog"], "pass the folder images as the source"),
    ],
)
def test_what_is_uncertain_is_said(folders: list[str], note: str) -> None:
    """A note names the ambiguous folders and the options that resolve them."""
    (text,) = read(folders)[0].notes
    assert note in text


def test_videos_of_one_pair_are_one_group() -> None:
    """A manipulated video of FaceForensics++ shares a group with its two source videos."""
    above = ("manipulated_sequences", "Deepfakes", "c23", "videos")
    original = ("original_sequences", "youtube", "c23", "videos")
    paths = [(*original, "000.mp4"), (*original, "003.mp4"), (*above, "003_000.mp4"),
             (*above, "000_003.mp4"), (*original, "frames", "007", "0001.png")]  # fmt: skip
    groups = [value.group for value in understand(paths).values]
    assert groups == ["000_003"] * 4 + ["007"]


def make(root: Path, *names: str) -> str:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return str(root)


def test_photographs_of_another_source(tmp_path: Path) -> None:
    """Several folders are recognised together if none has a layout of its own."""
    fakes = make(tmp_path / "synthbuster", "dalle3/1.png", "sdxl/1.png")
    reals = make(tmp_path / "RAISE", "1.png")
    source = open_source([fakes, reals])
    assert source.layout == "generators and collections of photographs"
    values = {record.path: (record.label, dict(record.columns)) for record in source}
    assert values == {
        "synthbuster/dalle3/1.png": ("fake", {"generator": "dalle3"}),
        "synthbuster/sdxl/1.png": ("fake", {"generator": "sdxl"}),
        "RAISE/1.png": ("real", {"source": "RAISE"}),
    }
    grouped = open_source([fakes, reals], columns=TableColumns(group="generator"))
    assert {record.group for record in grouped} == {"dalle3", "sdxl", ""}
    pets = [make(tmp_path / pet, f"{colour}/1.png") for pet in ("cats", "dogs") for colour in "bw"]
    source = open_source(pets[::2])
    assert {record.label for record in source} == {"b", "w"}
    sets = [
        make(tmp_path / name, "progan/x/0_real/1.png", "progan/x/1_fake/1.png") for name in "ab"
    ]
    joined = open_source(sets)
    assert {dict(record.columns)["generator"] for record in joined} == {"progan"}
    assert joined.layout == "ForenSynths"


@pytest.mark.parametrize("suffix", ["", ".tar", ".zip"])
def test_folders_and_archives_are_understood_alike(tmp_path: Path, suffix: str) -> None:
    """Folders in an archive are recognised like folders on the disk."""
    names = [f"{name}/1.png" for name in LISTED["ForenSynths"]]
    make(tmp_path / "set", *names)
    if suffix:
        make_archive(str(tmp_path / "set"), suffix[1:], tmp_path / "set")
    source = open_source(str(tmp_path / f"set{suffix}"))
    inside = {
        record.path.removeprefix(f"set{suffix}/").removeprefix("./"): record for record in source
    }
    assert source.layout == "ForenSynths"
    assert {path.removesuffix("/1.png"): (record.label, dict(record.columns))
            for path, record in inside.items()} == LISTED["ForenSynths"]  # fmt: skip


def test_a_tar_with_one_folder_or_labels_keeps_them(tmp_path: Path) -> None:
    """A single folder in an archive is no class, and side-car files win over folders."""
    make(tmp_path / "one", "images/1.png", "images/2.png")
    make_archive(str(tmp_path / "one"), "tar", tmp_path / "one")
    assert {record.label for record in open_source(str(tmp_path / "one.tar"))} == {""}
    (tmp_path / "one" / "fake").mkdir()
    (tmp_path / "one" / "images" / "1.cls").write_text("real")
    make(tmp_path / "one", "fake/1.png")
    make_archive(str(tmp_path / "one"), "tar", tmp_path / "one")
    labels = {record.path: record.label for record in open_source(str(tmp_path / "one.tar"))}
    assert set(labels.values()) == {"real", ""}


@pytest.mark.parametrize("above", [(), ("progan",), ("imagenet_ai_0419_sdv4",)])
@pytest.mark.parametrize("classes", [("real", "fake"), ("0_real", "1_fake"), ("ai", "nature")])
@pytest.mark.parametrize("is_first", [True, False])
def test_equal_folders_of_two_splits_keep_their_splits(
    above: tuple[str, ...], classes: tuple[str, str], is_first: bool
) -> None:
    """Folders with equal names in two splits keep their splits."""
    paths = [
        (*((part, *above) if is_first else (*above, part)), name, "1.png")
        for part in ("train", "val", "test")
        for name in classes
    ]
    splits = [dict(value.columns).get("split") for value in understand(paths).values]
    assert splits == [part for part in ("train", "val", "test") for _ in classes]
