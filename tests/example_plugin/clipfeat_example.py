"""Example package that adds an encoder, a classifier, a metric and an image source to clipfeat.

Its entry points are in ``tests/test_plugins.py``.
"""

import json
from pathlib import Path

import numpy as np

from clipfeat.encoders import EncoderLibrary
from clipfeat.evaluate.metrics import Metric
from clipfeat.images import SourceKind, TableColumns
from clipfeat.images.readers import FileBytes
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import ImageSource, make_source
from clipfeat.zoo import ClassifierRow

COLOURS = EncoderLibrary(build="clipfeat_example:build", list_names="clipfeat_example:colour_names")
BAYES = ClassifierRow("bayes", "clipfeat_example:make", "naive Bayes", usual=False)


def colour_names() -> list[str]:
    """List the encoder names of this library."""
    return ["mean", "max"]


def build(name, options, *, n_images, samples):  # type: ignore[no-untyped-def]
    """Open an encoder that reduces each colour channel to one number."""
    import torch

    from clipfeat.encoders.encoder import Encoder
    from clipfeat.images.decode import DECODE
    from clipfeat.spec import EncoderSpec

    spec = EncoderSpec(
        name=f"colours:{name}",
        weights="",
        untrained=False,
        layer="last",
        options=json.dumps({"version": 1}),
        input_size=(0, 0),
        interpolation="none",
        crop_pct=1.0,
        crop_mode="none",
        mean=(0.0,),
        std=(1.0,),
        n_features=3,
        precision="fp32",
        decode=DECODE,
    )

    def preprocess(pixels: np.ndarray) -> torch.Tensor:
        reduced = getattr(pixels.reshape(-1, 3).astype(np.float32), name)(axis=0)
        return torch.from_numpy(reduced / 255)

    return Encoder(spec, preprocess, lambda batch: batch, torch.device("cpu"))


def make(options, *, random_state, n_jobs):  # type: ignore[no-untyped-def]
    """Return an unfitted classifier."""
    from sklearn.naive_bayes import GaussianNB

    return GaussianNB()


def _share_of_first_class(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> np.ndarray:
    return (w @ (p.argmax(axis=1) == 0)) / w.sum(axis=1)


FIRST = Metric("share_first", "share of first class", _share_of_first_class, True)


def _open_playlist(spec: str, columns: TableColumns) -> ImageSource:
    folder = Path(spec).absolute().parent
    lines = (line.split() for line in Path(spec).read_text().splitlines())
    records = [ImageRecord(path, FileBytes(str(folder / path)), label) for path, label in lines]
    return make_source(spec, str(folder), records)


PLAYLISTS = SourceKind(lambda spec: spec.endswith(".playlist"), _open_playlist)
