"""Images of the demo: patches of photographs, and versions of them by simulated generators.

No image comes from a real generator. Each "generated" patch is a real patch that is reduced to half
its size and enlarged again. The last layers of many generators enlarge feature maps in similar
ways. Each of the four enlarging methods leaves a different trace in the spectrum. Noise like that
of a camera sensor hides part of this trace. Results on these images do not predict results on
images of real generators.
"""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipfeat.system.optional_libraries import require

PATCH = 128
NOISE = 3.0
Pixels = NDArray[np.float64]


@dataclass(frozen=True)
class SimulatedSet:
    """Locations and numbers of the demo's images.

    Parameters
    ----------
    manifest : Path
        Table of the training images with the columns path, label, generator and group. The group
        is the name of the photograph.
    new : Path
        Folder of new images for prediction, with the subfolders ``real`` and ``fake``. Their
        photographs differ from those of the training images.
    n_images, n_new : int
        Numbers of training images and of new images.
    """

    manifest: Path
    new: Path
    n_images: int
    n_new: int


def nearest(small: Pixels, rng: np.random.Generator) -> Pixels:
    """Repeat each pixel and blur, like the nearest-neighbour upsampling of many generators."""
    return _blur(small.repeat(2, axis=0).repeat(2, axis=1), (0.15, 0.7, 0.15))


def bilinear(small: Pixels, rng: np.random.Generator) -> Pixels:
    """Interpolate linearly, like the upsampling in StyleGAN."""
    return _resize(small, Image.Resampling.BILINEAR)


def transposed(small: Pixels, rng: np.random.Generator) -> Pixels:
    """Insert zeros and filter unevenly, which gives the pattern of transposed convolutions."""
    spread = np.zeros((2 * small.shape[0], 2 * small.shape[1], 3))
    spread[::2, ::2] = small * 4
    tap = rng.uniform(0.44, 0.48)
    return _blur(spread, (0.25, tap, 1 - 0.25 - tap))


def sharpened(small: Pixels, rng: np.random.Generator) -> Pixels:
    """Interpolate bicubically and sharpen, like a decoder that is trained for sharp detail."""
    enlarged = _resize(small, Image.Resampling.BICUBIC)
    return enlarged + 0.6 * (enlarged - _blur(enlarged, (0.25, 0.5, 0.25)))


GENERATORS: Mapping[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "nearest": nearest,
    "bilinear": bilinear,
    "transposed": transposed,
    "sharpened": sharpened,
}
"""Simulated generators: functions that enlarge a patch to twice its size."""


def make_simulated(folder: Path, *, patches: int = 14, new: int = 6, seed: int = 0) -> SimulatedSet:
    """Write the demo's images.

    Parameters
    ----------
    folder : Path
        Output folder. It is created if it does not exist.
    patches, new : int
        Number of patches per photograph, for the training images and for the new images.
    seed : int
        Random seed for the positions of patches and for the noise.

    Returns
    -------
    SimulatedSet
        Locations and numbers of the images.
    """
    rng = np.random.default_rng(seed)
    photographs = _photographs()
    new_photographs = ("coffee", "rocket")
    rows: list[tuple[str, str, str, str]] = []
    n_new = 0
    for name, photograph in photographs.items():
        for number in range(new if name in new_photographs else patches):
            for generator, pixels in _versions(_cut(photograph, rng), rng).items():
                label = "fake" if generator else "real"
                file = f"{name}-{number:02d}{'-' + generator if generator else ''}.png"
                is_new = name in new_photographs
                target = folder / ("new" if is_new else "images") / label
                target.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(target / file)
                if is_new:
                    n_new += 1
                else:
                    rows.append((f"{label}/{file}", label, generator, name))
    manifest = folder / "images" / "manifest.csv"
    with manifest.open("w", newline="") as out:
        csv.writer(out).writerows([("path", "label", "generator", "group"), *rows])
    return SimulatedSet(manifest, folder / "new", len(rows), n_new)


def _photographs() -> dict[str, NDArray[np.uint8]]:
    """Load the colour photographs that are included in scikit-learn and scikit-image."""
    require("skimage", "the demo")
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
    """Crop a random patch with some contrast, because most of the retina image is black."""
    height, width = photograph.shape[:2]
    for _ in range(50):
        top, left = rng.integers(height - PATCH + 1), rng.integers(width - PATCH + 1)
        patch = photograph[top : top + PATCH, left : left + PATCH].astype(np.float64)
        if patch.std() > 12:
            break
    return patch


def _versions(patch: Pixels, rng: np.random.Generator) -> dict[str, NDArray[np.uint8]]:
    """Return the patch, under an empty name, and the version by each generator, all with noise."""
    small = (patch[::2, ::2] + patch[1::2, ::2] + patch[::2, 1::2] + patch[1::2, 1::2]) / 4
    versions = {
        "": patch,
        **{name: make(small, rng) for name, make in GENERATORS.items()},
    }
    noisy = {name: v + rng.normal(0, NOISE, v.shape) for name, v in versions.items()}
    return {name: np.clip(np.rint(v), 0, 255).astype(np.uint8) for name, v in noisy.items()}


def _blur(image: Pixels, taps: tuple[float, float, float]) -> Pixels:
    """Filter rows, then columns, with three taps and periodic edges."""
    for axis in (0, 1):
        before, after = (np.roll(image, shift, axis) for shift in (1, -1))
        image = taps[0] * before + taps[1] * image + taps[2] * after
    return image


def _resize(small: Pixels, resampling: Image.Resampling) -> Pixels:
    """Enlarge an image to twice its size."""
    size = (2 * small.shape[1], 2 * small.shape[0])
    bands = [
        Image.fromarray(small[:, :, channel].astype(np.float32)).resize(size, resampling)
        for channel in range(3)
    ]
    return np.stack([np.asarray(band, dtype=np.float64) for band in bands], axis=2)
