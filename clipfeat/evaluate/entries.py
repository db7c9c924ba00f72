"""Entries of a run that are fitted: each classifier on the features of each encoder.

Votes are entries too. Their names are in `clipfeat.evaluate.votes`.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from clipfeat.spec import EncoderSpec, titles

Entries = Mapping[str, tuple[str, slice]]
"""Map from the name of an entry to the name of its classifier and its feature columns."""


def entry_names(names: Sequence[str], specs: Sequence[EncoderSpec]) -> dict[str, tuple[str, slice]]:
    """Name the entries of a run.

    Parameters
    ----------
    names : sequence of str
        Names of classifiers.
    specs : sequence of EncoderSpec
        Encoders, in the order of their feature columns.

    Returns
    -------
    dict of str to (str, slice)
        Map from the name of each entry to the name of its classifier and its feature columns. With
        several encoders, the name of an entry includes the encoder, such as
        ``"svm @ timm:resnet50.a1_in1k 224px"``.
    """
    if len(specs) < 2:
        return {name: (name, slice(None)) for name in names}
    ends = np.cumsum([spec.n_features for spec in specs]).tolist()
    return {
        f"{name} @ {title}": (name, slice(end - spec.n_features, end))
        for title, spec, end in zip(titles(specs), specs, ends, strict=True)
        for name in names
    }
