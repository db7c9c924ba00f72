"""Labels from the tables of ``--labels``, and the agreement of the people who wrote them."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from clipfeat.cli.exits import print_error_line
from clipfeat.errors import UsageError

if TYPE_CHECKING:
    from clipfeat.features import FeatureSet
    from clipfeat.labelling.merging import MergedLabels
    from clipfeat.store.streaming import StreamedFeatures

MAX_DISPUTED = 10
"""Maximum number of images that are listed because people labelled them differently."""

Features = TypeVar("Features", "FeatureSet", "FeatureSet | StreamedFeatures")


def apply_label_tables(
    features: Features, tables: Sequence[Path] | None, *, merge_labels: bool = False
) -> "tuple[Features, MergedLabels | None]":
    """Give features the labels of ``--labels``, and print a summary on standard error.

    Raises
    ------
    UsageError
        If the features are read in blocks.
    """
    from clipfeat.features import FeatureSet
    from clipfeat.labelling.relabelling import with_label_tables

    if not tables:
        return features, None
    if not isinstance(features, FeatureSet):
        raise UsageError("--labels needs the features in memory. Leave out --out-of-core")
    labelled, merged = with_label_tables(features, tables)
    print_summary(merged)
    return labelled.merged_labels() if merge_labels else labelled, merged


def print_summary(merged: "MergedLabels") -> None:
    """Print the number of labels, the agreement of each pair of people, and the disputed images."""
    from clipfeat.cli.console import counted
    from clipfeat.labelling.merging import MAX_COMPARED

    annotators = merged.annotators
    people = ", ".join(annotators[:MAX_COMPARED]) or "nobody"
    if (n_others := len(annotators) - MAX_COMPARED) > 0:
        people += f" and {counted(n_others, 'other')}"
    print_error_line(f"labels: {counted(len(merged.given), 'image')}, by {people}")
    for one in merged.agreements():
        kappa = "undefined" if math.isnan(one.kappa) else f"{one.kappa:.2f}"
        print_error_line(
            f"{' and '.join(one.annotators)} agree on {one.agreement:.1%} of "
            f"{counted(one.n_images, 'image')} (Cohen's kappa {kappa})"
        )
    if merged.disputed:
        n = len(merged.contested)
        verbs = ("has", "is") if n == 1 else ("have", "are")
        unlabelled = f"{n} {verbs[0]} no majority label and {verbs[1]} unlabelled"
        print_error_line(
            f"{counted(len(merged.disputed), 'image')} got different labels. "
            f"{unlabelled if n else 'All have a majority label'}"
        )
    for path, labels in list(merged.disputed.items())[:MAX_DISPUTED]:
        shown = list(labels.items())[:MAX_COMPARED]
        given = ", ".join(f"{name} {label}" for name, label in shown)
        print_error_line(f"  {path}: {given}{', …' if len(shown) < len(labels) else ''}")
    if len(merged.disputed) > MAX_DISPUTED:
        print_error_line(f"  … and {len(merged.disputed) - MAX_DISPUTED} more")
