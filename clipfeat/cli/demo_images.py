"""The demo's image set: patches of real photographs, and of simulated generators.

Nothing here comes from a real generator. Each "generated" patch is a real one that was halved and
enlarged again, as the last layer of a generator enlarges its feature maps, by one of four ways that
leave four different traces in the spectrum; then a little noise, as a sensor's, covers part of the
trace. What works on these says nothing of what works on images of Midjourney.
"""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PATCH = 128
NOISE = 3.0
Pixels = NDArray[np.float64]


@dataclass(frozen=True)
class SimulatedSet:
    """Where the demo's images are.

    Parameters
    ----------
    manifest : Path
        Table of the images to learn from: path, label, generator, group (the photograph).
    new : Path
        Folder of images of other photographs, in ``real`` and ``fake``.
    n_images, n_new : int
        How many there are of each.
    """

    manifest: Path
    new: Path
    n_images: int
    n_new: int


def nearest(small: Pixels, rng: np.random.Generator) -> Pixels:
    """Repeat every pixel, then blur: the nearest-neighbour upsampling of many generators."""
    return _blur(small.repeat(2, axis=0).repeat(2, axis=1), (0.15, 0.7, 0.15))


def bilinear(small: Pixels, rng: np.random.Generator) -> Pixels:
    """Interpolate linearly: the upsampling of StyleGAN."""
    return _resize(small, Image.Resampling.BILINEAR)


def transposed(small: Pixels, rng: np.random.Generator) -> Pixels:
    """Insert zeros and filter by uneven taps: the checkerboard of transposed convolutions."""
    spread = np.zeros((2 * small.shape[0], 2 * small.shape[1], 3))
    spread[::2, ::2] = small * 4
    tap = rng.uniform(0.44, 0.48)
    return _blur(spread, (0.25, tap, 1 - 0.25 - tap))


def sharpened(small: Pixels, rng: np.random.Generator) -> Pixels:
    """Interpolate by cubics and sharpen: a decoder that was rewarded for detail."""
    enlarged = _resize(small, Image.Resampling.BICUBIC)
    return enlarged + 0.6 * (enlarged - _blur(enlarged, (0.25, 0.5, 0.25)))


GENERATORS: Mapping[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "nearest": nearest,
    "bilinear": bilinear,
    "transposed": transposed,
    "sharpened": sharpened,
}


def make_simulated(folder: Path, *, patches: int = 14, new: int = 6, seed: int = 0) -> SimulatedSet:
    """Write the demo's images.

    Parameters
    ----------
    folder : Path
        Where; made if it is not there.
    patches, new : int
        Patches of each photograph to learn from, and of each kept for new images.
    seed : int
        Of where patches are cut, and of the noise.
    """
    rng = np.random.default_rng(seed)
    photographs = _photographs()
    kept = ("coffee", "rocket")
    rows: list[tuple[str, str, str, str]] = []
    n_new = 0
    for name, photograph in photographs.items():
        for number in range(new if name in kept else patches):
            for generator, pixels in _versions(_cut(photograph, rng), rng).items():
                label = "fake" if generator else "real"
                file = f"{name}-{number:02d}{'-' + generator if generator else ''}.png"
                where = folder / "new" / label if name in kept else folder / "images" / label
                where.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(where / file)
                if name in kept:
                    n_new += 1
                else:
                    rows.append((f"{label}/{file}", label, generator, name))
    manifest = folder / "images" / "manifest.csv"
    with manifest.open("w", newline="") as out:
        csv.writer(out).writerows([("path", "label", "generator", "group"), *rows])
    return SimulatedSet(manifest, folder / "new", len(rows), n_new)


def _photographs() -> dict[str, NDArray[np.uint8]]:
    """Colour photographs that scikit-learn and scikit-image bring along."""
    import skimage.data
    from sklearn.datasets import load_sample_image

    return {
        "china": load_sample_image("china.jpg"),
        "flower": load_sample_image("flower.jpg"),
        "astronaut": skimage.data.astronaut(),
        "chelsea": skimage.data.chelsea(),
        "hubble": skimage.data.hubble_deep_field(),
        "tissue": skimage.data.immunohistochemistry(),
        "retina": skimage.data.retina(),
        "motorcycle": skimage.data.stereo_motorcycle()[0],
        "coffee": skimage.data.coffee(),
        "rocket": skimage.data.rocket(),
    }


def _cut(photograph: NDArray[np.uint8], rng: np.random.Generator) -> Pixels:
    """A random patch with something to see in it, as most of a retina's picture is black."""
    height, width = photograph.shape[:2]
    for _ in range(50):
        top, left = rng.integers(height - PATCH + 1), rng.integers(width - PATCH + 1)
        patch = photograph[top : top + PATCH, left : left + PATCH].astype(np.float64)
        if patch.std() > 12:
            break
    return patch


def _versions(patch: Pixels, rng: np.random.Generator) -> dict[str, NDArray[np.uint8]]:
    """The patch as it is, under the empty name, and through every generator."""
    small = (patch[::2, ::2] + patch[1::2, ::2] + patch[::2, 1::2] + patch[1::2, 1::2]) / 4
    versions = {"": patch, **{name: make(small, rng) for name, make in GENERATORS.items()}}
    noisy = {name: v + rng.normal(0, NOISE, v.shape) for name, v in versions.items()}
    return {name: np.clip(np.rint(v), 0, 255).astype(np.uint8) for name, v in noisy.items()}


def _blur(image: Pixels, taps: tuple[float, float, float]) -> Pixels:
    """Filter rows, then columns, by three taps; edges repeat."""
    for axis in (0, 1):
        before, after = (np.roll(image, shift, axis) for shift in (1, -1))
        image = taps[0] * before + taps[1] * image + taps[2] * after
    return image


def _resize(small: Pixels, how: Image.Resampling) -> Pixels:
    size = (2 * small.shape[1], 2 * small.shape[0])
    bands = [Image.fromarray(small[:, :, c].astype(np.float32)).resize(size, how) for c in range(3)]
    return np.stack([np.asarray(band, dtype=np.float64) for band in bands], axis=2)
