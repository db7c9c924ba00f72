"""Recipes: named, complete settings of a training run, from the encoder to the vote.

To add a recipe, add a row to `RECIPES`. Each row states its source: a paper, or a measurement with
this package.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.encoders.registry import find_library
from clipfeat.errors import UsageError, unknown_name
from clipfeat.zoo.fit_options import FitOptions


@dataclass(frozen=True)
class Member:
    """One encoder of a recipe at one image size. Its features are stored in one feature file.

    Parameters
    ----------
    encoder : str
        Name of the encoder.
    options : EncoderOptions
        Layers, image size, crop, weights and device.
    title : str
        Name in progress displays and file names, such as ``"efficientnet-lite0-128"``.
    """

    encoder: str
    options: EncoderOptions
    title: str


@dataclass(frozen=True)
class Recipe:
    """Settings of a training run.

    Every encoder is used at every image size, and every classifier is fitted on the features of
    each of these combinations. The classifiers and their votes are compared by cross-validation on
    the training images.

    Parameters
    ----------
    name : str
        Name of the recipe.
    summary : str
        Purpose of the recipe, in one line.
    source : str
        Origin of the settings: a paper or a measurement.
    encoders : tuple of str
        Names of encoders, as in `clipfeat.embed`.
    classifiers : tuple of str
        Names of classifiers.
    sizes : tuple of int or None
        Sides of the square input in pixels. None is the encoder's own size.
    layers, pool, crop : str, optional
        As in `EncoderOptions`.
    views : str, optional
        Augmented copies of the training images, as in `SourceOptions`.
    faces : str, optional
        Mode of the face detection, as in `clipfeat.images.faces.open_finder`. None encodes whole
        images.
    scale : str
        Scaling of the features, as in `FitOptions`.
    calibrate : str
        Calibration, as in `FitOptions`.
    threshold : str, optional
        Metric that the decision threshold maximises, as in `FitOptions`.
    votes : tuple of str
        Votes that compete with the single classifiers, as in `clipfeat.benchmark`.
    weights : tuple of str
        Local files of weights, one for each encoder. Empty to use the encoders' own weights.
    abstain : float, optional
        Level of the prediction sets of the model, as in `FitOptions`.
    """

    name: str
    summary: str
    source: str
    encoders: tuple[str, ...]
    classifiers: tuple[str, ...]
    sizes: tuple[int | None, ...] = (None,)
    layers: str | None = None
    pool: str | None = None
    crop: str | None = None
    views: str | None = None
    faces: str | None = None
    scale: str = "standard"
    calibrate: str = "none"
    threshold: str | None = None
    votes: tuple[str, ...] = ("uniform",)
    weights: tuple[str, ...] = ()
    abstain: float | None = None

    @property
    def fit_options(self) -> FitOptions:
        """Options of all classifiers in the cross-validation."""
        return FitOptions(scale=self.scale, calibrate=self.calibrate, threshold=self.threshold)

    @property
    def model_options(self) -> FitOptions:
        """Options of the fit of the model."""
        return replace(self.fit_options, abstain=self.abstain)

    def members(self, device: str = "auto") -> list[Member]:
        """List the encoders with their image sizes."""
        weights: Sequence[str | None] = self.weights or [None] * len(self.encoders)
        members = []
        for encoder, file in zip(self.encoders, weights, strict=True):
            for size in self.sizes:
                options = self._encoder_options(encoder, size, file, device)
                members.append(Member(encoder, options, _title(encoder, size)))
        return members

    def _encoder_options(
        self, encoder: str, size: int | None, weights: str | None, device: str
    ) -> EncoderOptions:
        """Return the options of an encoder. Layers and pooling are left out if it has no layers."""
        layers, pool = self.layers, self.pool
        if not find_library(encoder)[0].has_layers:
            layers = pool = None
        return EncoderOptions(
            weights=weights, layers=layers, pool=pool, image_size=size, crop=self.crop,
            device=device,
        )  # fmt: skip

    def using(
        self,
        encoders: Sequence[str] = (),
        sizes: Sequence[int] = (),
        weights: Sequence[str | Path] = (),
        layers: str | None = None,
    ) -> "Recipe":
        """Replace the encoders, their image sizes, their weights or their layers.

        Parameters
        ----------
        encoders : sequence of str
            Names of encoders. If it is empty, the encoders of the recipe are used.
        sizes : sequence of int
            Image sizes in pixels. If it is empty, the sizes of the recipe are used.
        weights : sequence of path
            Local files of weights, one for each encoder.
        layers : str, optional
            Layers, as in `EncoderOptions`. If it is None, the layers of the recipe are used.

        Raises
        ------
        UsageError
            If an encoder or a size is repeated, or if there is not one file for each encoder.

        Examples
        --------
        >>> recipe = find_recipe("detect").using(["spectrum"])
        >>> recipe.encoders, recipe.views
        (('spectrum',), 'robust')
        """
        changed = replace(
            self,
            encoders=tuple(encoders) or self.encoders,
            sizes=tuple(sizes) or self.sizes,
            weights=tuple(map(str, weights)),
            layers=layers or self.layers,
        )
        for kind, values in (("encoder", changed.encoders), ("image size", changed.sizes)):
            for value in values:
                if values.count(value) > 1:
                    raise UsageError(f"the {kind} {value} is given twice. Give each {kind} once")
        if weights and len(changed.weights) != len(changed.encoders):
            raise UsageError(
                f"--weights needs one file for each encoder ({', '.join(changed.encoders)}), got "
                f"{len(changed.weights)}. Repeat --weights in the order of the encoders"
            )
        return changed

    def settings(self) -> dict[str, str]:
        """Return the settings as texts for display. Settings with default values are left out."""
        return {
            name: ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            for name, value in self.record().items()
            if name in ("encoders", "classifiers") or value != _DEFAULTS.get(name)
            if name != "name"
        }

    def record(self) -> dict[str, Any]:
        """Return the settings as JSON values, without `summary` and `source`."""
        fields: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return {name: value for name, value in fields.items() if name not in ("summary", "source")}


_DEFAULTS = Recipe("", "", "", (), ()).record()


def _title(encoder: str, size: int | None) -> str:
    """Return a short name of an encoder and a size that is valid in file names.

    Examples
    --------
    >>> _title("open_clip:ViT-L-14/openai", None), _title("spectrum", 128)
    ('open-clip-ViT-L-14-openai', 'spectrum-128')
    """
    name = re.sub(r"[^A-Za-z0-9.]+", "-", encoder).strip("-.")[-60:]
    return name if size is None else f"{name}-{size}"


_PROBES = "linear probes trained on one generator, tested in the wild (arXiv 2602.01738)"

_ROWS = (
    Recipe(
        "offline",
        "default; needs no download",
        "measured on CIFAKE: all layers of EfficientNet-Lite0 at 128 px with svm, accuracy 0.963",
        encoders=("efficientnet-lite0",),
        sizes=(128, 224),
        layers="all",
        classifiers=("logreg", "svm"),
    ),
    Recipe(
        "fast",
        "one small encoder and logistic regression; needs no download",
        "the encoder of offline at its smaller size",
        encoders=("efficientnet-lite0",),
        sizes=(128,),
        layers="all",
        classifiers=("logreg",),
    ),
    Recipe(
        "balanced",
        "CLIP-L/14 with three classifiers",
        "linear probe of CLIP (arXiv 2103.00020); the vote is not measured",
        encoders=("clip-vit-l-14",),
        classifiers=("logreg", "svm", "lgbm"),
    ),
    Recipe(
        "best",
        "three large encoders with different pretraining, voted; slow without a GPU",
        "on CIFAKE, a vote of four small encoders at two sizes had the accuracy 0.979, and one "
        "of them 0.963; the encoders of this recipe are not measured",
        encoders=("clip-vit-l-14-336", "dinov2-l-14", "siglip2-so400m-14"),
        classifiers=("logreg", "svm"),
    ),
    Recipe(
        "detect",
        "detection of generated images: PE-Core-L/14@336, degraded copies, logistic regression",
        f"{_PROBES}: accuracy 0.899; degraded copies: public challenge write-ups",
        encoders=("pe-core-l-14-336",),
        views="robust",
        classifiers=("logreg",),
    ),
    Recipe(
        "detect-best",
        "detection of generated images: PE-Core-G/14@448, L2-normalised, one linear layer",
        "arXiv 2606.08634: accuracy 0.894 on AIGIBench",
        encoders=("pe-core-g-14-448",),
        views="robust",
        scale="l2",
        classifiers=("logreg",),
    ),
    Recipe(
        "detect-dinov3",
        "detection of generated images: DINOv3-7B/16, 27 GB of weights; smaller ones are weak",
        f"{_PROBES}: accuracy 0.940",
        encoders=("dinov3-7b-16",),
        views="robust",
        classifiers=("logreg",),
    ),
    Recipe(
        "detect-rine",
        "detection of generated images: class tokens of all blocks of CLIP-L/14",
        "RINE (arXiv 2402.19091): accuracy 0.915 on UniversalFakeDetect",
        encoders=("clip-vit-l-14",),
        layers="all",
        pool="cls",
        views="robust",
        classifiers=("logreg",),
    ),
    Recipe(
        "detect-vote",
        "detection of generated images: PE-Core-L, MetaCLIP2-G and SigLIP2-G, voted",
        f"{_PROBES}: accuracy 0.899, 0.842 and 0.822; the vote is not measured",
        encoders=("pe-core-l-14-336", "metaclip2-g-14", "siglip2-g-16-384"),
        views="robust",
        classifiers=("logreg",),
    ),
    Recipe(
        "faces",
        "the largest face of each image; needs no download",
        "EfficientNet features, triplet projection and svm, as in face-forgery challenges; not "
        "measured",
        encoders=("efficientnet-lite0",),
        sizes=(224,),
        layers="all",
        faces="largest",
        classifiers=("logreg", "svm", "triplet+svm"),
    ),
)

RECIPES: Mapping[str, Recipe] = {row.name: row for row in _ROWS}
"""Recipes by name."""

DEFAULT_RECIPE = "offline"


def find_recipe(name: str) -> Recipe:
    """Return a recipe by name.

    Raises
    ------
    UnknownNameError
        If there is no such recipe. The message lists the nearest names.
    """
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name]
