"""The question that a run answers, and its protocol in plain words."""

import numpy as np

from clipfeat.evaluate.result import Benchmark
from clipfeat.features.label_text import count_texts

MAX_NAMED = 3
"""Maximum number of classes that the question names."""


def question(classes: tuple[str, ...]) -> str:
    """Return the question of a classifier.

    Examples
    --------
    >>> question(("real", "fake")), question(("cat", "dog", "owl")), question(tuple("abcd"))
    ('real or fake?', 'cat, dog or owl?', 'Which of 4 classes?')
    """
    if len(classes) > MAX_NAMED:
        return f"Which of {len(classes)} classes?"
    return f"{', '.join(classes[:-1])} or {classes[-1]}?"


def images_text(run: Benchmark) -> str:
    """Count the images of a run and of its classes, and name the positive class."""
    about = run.about
    text = f"{about.get('images', len(run.y)):,} images"
    counts = about.get("per_class") or {}
    if len(counts) in range(2, MAX_NAMED + 1):
        text += f" ({', '.join(count_texts(counts, '{:,}'))})"
    elif counts:
        low, high = min(counts.values()), max(counts.values())
        each = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        text += f" of {len(counts)} classes, {each} of each"
    if about.get("positive"):
        text += f". The positive class is {about['positive']}"
    return f"{text}."


def protocol_text(run: Benchmark) -> str:
    """Describe in plain words how the images were divided into training and test images.

    The description is derived from the trials, so it does not depend on the name of the protocol.
    """
    trials = [outcome.trial for outcome in run.outcomes]
    if not trials:
        return ""
    about, first = run.about, trials[0]
    column = str(about.get("column") or "")
    n_folds = len(first.splits)
    if first.trained_on:
        values = len({trial.trained_on for trial in trials})
        text = (
            f"For each of {values} values of {column}, models are trained on the images of this "
            f"value and tested on the images of every value, in {n_folds} folds."
        )
    elif first.n_train is not None:
        sizes = sorted({trial.n_train or 0 for trial in trials})
        listed = ", ".join(f"{size:,}" for size in sizes)
        n_draws = len(run.headline)
        text = (
            f"Models are trained on few images of each class ({listed}), drawn {n_draws} times. "
            f"The scores below are those of the largest number, {sizes[-1]:,}."
        )
    elif column:
        text = (
            f"Each of {n_folds} values of {column} is held out in turn. Models are trained on the "
            "images of the other values and tested on the images that were held out."
        )
        if about.get("shared"):
            text += f" {about['shared']:,} images without such a value are divided among the tests."
    elif about.get("given_split"):
        n_tested = len(np.unique(run.files[run.fold >= 0]))
        text = f"Models are trained on a training set and tested on {n_tested:,} separate images."
    else:
        text = (
            f"{n_folds}-fold cross-validation: each part of the images is tested with models that "
            f"were trained on the other {n_folds - 1} parts."
        )
    if about.get("grouped") and about.get("groups") and not about.get("given_split"):
        text += f" The images of each of {about['groups']:,} groups stay together."
    n_seeds = len({trial.seed for trial in trials})
    if n_seeds > 1 and first.n_train is None:
        text += f" This is repeated with {n_seeds} random seeds."
    if "balance" in about:
        balance = about["balance"] or "none"
        is_balanced = "not balanced" if balance == "none" else "balanced"
        text += f" The classes are {is_balanced} in training (--balance {balance})."
    return text
