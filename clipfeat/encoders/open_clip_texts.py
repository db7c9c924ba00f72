"""Text features of open_clip models, for classification without training and for search."""

from collections.abc import Sequence

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray

from clipfeat.encoders.encoder import weights_digest
from clipfeat.encoders.open_clip import OUTPUTS, create
from clipfeat.encoders.registry import options_of
from clipfeat.encoders.weights import explain_missing
from clipfeat.errors import FingerprintError, UsageError
from clipfeat.spec import EncoderSpec

PREFIX = "open_clip:"
SHARED_LAYER = OUTPUTS[0]
"""Layer with the features of images in the space that they share with texts."""
BATCH = 64


def has_text_tower(spec: EncoderSpec) -> bool:
    """Return whether texts can be compared with one of the layers of an encoder."""
    return spec.name.startswith(PREFIX) and SHARED_LAYER in spec.parts


def encode_texts(
    spec: EncoderSpec, texts: Sequence[str], weights: str | None = None
) -> tuple[NDArray[np.float32], float]:
    """Encode texts with the text tower of an encoder's model.

    Parameters
    ----------
    spec : EncoderSpec
        The encoder of the images, with the layer ``projection``.
    texts : sequence of str
        The texts.
    weights : path, optional
        Local weight file of the whole model, with both towers.

    Returns
    -------
    vectors : ndarray of shape (n_texts, n_features), float32
        L2-normalised features in the space that texts share with images.
    scale : float
        Factor from cosine similarities to logits (the logit scale of the model).

    Raises
    ------
    UsageError
        If the encoder has no text tower, or its features are not in the shared space.
    WeightsError
        If the weights or the vocabulary are missing.
    FingerprintError
        If the weights of the image tower differ from those of the encoder.
    """
    if not spec.name.startswith(PREFIX) or spec.layer != SHARED_LAYER:
        raise UsageError(
            f"a comparison with texts needs features of the layer {SHARED_LAYER} of an open_clip "
            f"encoder, got the layer {spec.layer} of {spec.name}. Use for example --encoder "
            "clip-vit-l-14"
        )
    architecture, _, tag = spec.name.removeprefix(PREFIX).partition("/")
    options = options_of(spec, weights=weights, device="cpu")
    model, _ = create(architecture, tag, options)
    model.eval()
    if weights_digest(model.visual) != spec.weights:
        raise FingerprintError(
            f"the weights of the image tower of {spec.name} are not those that computed the "
            "features. With --weights, pass the file of weights that was used to embed the images"
        )
    with explain_missing(spec.name, f"the vocabulary of {architecture}"):
        tokenize = open_clip.get_tokenizer(architecture)
    vectors = []
    with torch.inference_mode():
        for start in range(0, len(texts), BATCH):
            tokens = tokenize(list(texts[start : start + BATCH]))
            vectors.append(model.encode_text(tokens, normalize=True).float().numpy())
        scale = float(model.logit_scale.exp())
    return np.concatenate(vectors), scale
