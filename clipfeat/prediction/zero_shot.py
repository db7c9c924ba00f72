"""Zero-shot classification: a model from descriptions of the classes instead of training images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Normalizer

from clipfeat.encoders.open_clip_texts import encode_texts
from clipfeat.errors import LabelError, UsageError
from clipfeat.features import FeatureSet
from clipfeat.model import Model
from clipfeat.system.files import read_regular
from clipfeat.system.safe_yaml import parse_yaml

ZERO_SHOT = "zeroshot"
MAX_FILE = 2**18
"""Largest size of a file of prompts in bytes. PyYAML parses about 50 kB in a second."""
MAX_TEXTS = 100_000
MAX_TEXT = 1000
SLOT = "{}"
"""Part of a template that the name of a class replaces."""
EXAMPLE = "Write for example: classes: {real: photograph, fake: AI-generated image}"


@dataclass(frozen=True)
class Prompts:
    """Descriptions of classes.

    Parameters
    ----------
    classes : mapping of str to sequence of str
        For each class, one or more names of the class in English.
    templates : sequence of str
        Sentences with ``{}``, which is replaced by each name. By default, the texts are the names.
    """

    classes: Mapping[str, Sequence[str]]
    templates: Sequence[str] = (SLOT,)

    def __post_init__(self) -> None:
        texts = [*self.templates, *(name for names in self.classes.values() for name in names)]
        if not self.templates or not all(self.classes.values()):
            raise UsageError(
                "a class has no name, or there is no template. Add the missing name or template"
            )
        for text in texts:
            if not text.strip() or len(text) > MAX_TEXT:
                raise UsageError(
                    f"the text {text[:40]!r} has {len(text)} characters. Write 1 to {MAX_TEXT}"
                )
        for template in self.templates:
            if SLOT not in template:
                raise UsageError(
                    f"the template {template!r} has no {SLOT}. Write it in place of the class name"
                )
        n_texts = (len(texts) - len(self.templates)) * len(self.templates)
        if n_texts > MAX_TEXTS:
            raise UsageError(
                f"the names and templates give {n_texts:,} texts, expected at most {MAX_TEXTS:,}. "
                "Remove templates"
            )

    def texts_of(self, name: str) -> list[str]:
        """Return the texts that describe a class: each of its names in each template."""
        return [t.replace(SLOT, one) for one in self.classes[name] for t in self.templates]


def read_prompts(path: str | Path) -> Prompts:
    """Read prompts from a YAML or JSON file.

    The file is an object with ``classes``, which maps each class to a name or a list of names, and
    optionally ``templates``, a list of sentences with ``{}`` in place of the name.

    Raises
    ------
    UsageError
        If the file does not have this form, or exceeds a limit.
    """
    try:
        content = parse_yaml(read_regular(Path(path), MAX_FILE).decode())
        if not isinstance(content, dict) or content.keys() - {"classes", "templates"}:
            raise ValueError("it has other fields than classes and templates")
        classes = {str(name): _texts(names) for name, names in content["classes"].items()}
        return Prompts(classes, _texts(content.get("templates", SLOT)))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error}). Check the path") from error
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    except Exception as error:  # PyYAML raises many types of errors
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{path} has no valid prompts ({reason}). {EXAMPLE}") from error


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) for one in values):
        raise ValueError(f"{str(value)[:40]} is neither a text nor a list of texts")
    return values


def zero_shot(
    features: FeatureSet,
    prompts: Prompts | str | Path,
    *,
    weights: str | Path | None = None,
    positive: str | None = None,
) -> Model:
    """Create a model from descriptions of the classes. The images are not used for training.

    The features of a class are the L2-normalised mean of the features of its texts. The logit of an
    image is its cosine similarity to the class, multiplied by the logit scale of the encoder. This
    equals the zero-shot classifier of open_clip.

    Parameters
    ----------
    features : FeatureSet
        Features of one open_clip encoder, with the layer ``projection``. Their labels define the
        order of the classes.
    prompts : Prompts or path
        Descriptions of the classes, or a file for `read_prompts`.
    weights : path, optional
        Local weight file of the encoder, if it was used for the images.
    positive : str, optional
        Name of the positive class, if there are two classes.

    Raises
    ------
    LabelError
        If the classes of the features and of the prompts differ.
    UsageError
        If the features are not those of one open_clip encoder.
    FingerprintError
        If the weights differ from those of the features.
    """
    if not isinstance(prompts, Prompts):
        prompts = read_prompts(prompts)
    data = features.labelled(positive)
    if set(data.classes) != set(prompts.classes):
        wrong = ", ".join(sorted(set(data.classes) ^ set(prompts.classes))[:10])
        raise LabelError(
            f"the prompts describe other classes than the features have: {wrong}. Describe the "
            f"classes {', '.join(data.classes[:10])}"
        )
    if len(data.specs) != 1:
        raise UsageError(
            f"zero-shot classification needs features of one encoder, got {len(data.specs)} "
            "encoders. Pass one feature file"
        )
    texts = [prompts.texts_of(name) for name in data.classes]
    file = None if weights is None else str(weights)
    vectors, scale = encode_texts(data.specs[0], [one for of in texts for one in of], file)
    ends = np.cumsum([len(of) for of in texts])[:-1]
    means = np.stack([of.mean(axis=0) for of in np.split(vectors.astype(np.float64), ends)])
    coef = scale * means / np.linalg.norm(means, axis=1, keepdims=True)
    linear = LogisticRegression()
    linear.classes_ = np.arange(len(coef))
    # For two classes, scikit-learn stores the weights of the difference of the logits.
    linear.coef_ = coef if len(coef) > 2 else coef[1:] - coef[:1]
    linear.intercept_ = np.zeros(len(linear.coef_))
    steps = [("normalizer", Normalizer().fit(data.X[:1])), ("logisticregression", linear)]
    return Model(
        estimator=Pipeline(steps),
        classes=data.classes,
        specs=data.specs,
        members=(ZERO_SHOT,),
        about={"images": 0, "texts": len(vectors), "positive": data.positive},
    )
