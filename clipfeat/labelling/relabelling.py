"""Replace the labels of features by those in tables that people have written."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from clipfeat.errors import ClipfeatWarning, LabelError
from clipfeat.features import FeatureSet
from clipfeat.features.decisions import Decision
from clipfeat.features.label_text import class_names
from clipfeat.features.pairing import Names, how_to_pair, pair_names
from clipfeat.features.relabelling import relabelled
from clipfeat.labelling.decided_images import DecidedImages
from clipfeat.labelling.merging import MergedLabels, decisions_in, merged_labels


def with_label_tables(
    features: FeatureSet, tables: Sequence[str | Path]
) -> tuple[FeatureSet, MergedLabels]:
    """Give features the labels of tables, merged over the people who wrote them.

    A file that no table names keeps its label. A contested file becomes unlabelled.

    Parameters
    ----------
    features : FeatureSet
        The features.
    tables : sequence of path
        Files of decisions, or other tables with columns of paths and labels. Names in
        other tables are paired with files as in `clipfeat.features.pairing`. Decisions need the
        whole path and the same content, because several feature files may share a file of
        decisions.

    Returns
    -------
    features : FeatureSet
        The features with the new labels.
    merged : MergedLabels
        The labels of each person, by file. Files that the features lack are left out.

    Raises
    ------
    LabelError
        If a table has rows, but none of them names a file of the features. If two rows of an
        ordinary table give one file different labels.
    DataError
        If a name in a table matches several files.

    Warns
    -----
    ClipfeatWarning
        If decisions are about images with the same paths, but other content. They are left out.
    """
    files = sorted(set(features.files.tolist()))
    images = DecidedImages(features)
    logs = [_paired(decisions_in(table), files, table, images) for table in tables]
    names = class_names({one.label for log in logs for one in log})
    merged = merged_labels(*([replace(one, label=names[one.label]) for one in log] for log in logs))
    return relabelled(features, merged.labels), merged


def _paired(
    decisions: Sequence[Decision], files: Sequence[str], table: str | Path, images: DecidedImages
) -> list[Decision]:
    """Replace image names in a table by paths of the features. Leave out other images."""
    names = list(dict.fromkeys(one.path for one in decisions))
    if any(one.decided_at for one in decisions):
        index = Names(files)
        indices = {name: next(iter(index[name]), None) for name in names}
    else:
        indices = dict(zip(names, pair_names(names, files, str(table)), strict=True))
    paired = []
    others: dict[str, None] = {}
    first: dict[str, Decision] = {}
    for one in decisions:
        place = indices[one.path]
        if place is None:
            continue
        named = replace(one, path=files[place])
        if not images.has(named):
            others[named.path] = None
            continue
        paired.append(named)
        before = first.setdefault(files[place], one)
        if not one.decided_at and one.label != before.label:
            raise LabelError(
                f"{table} gives {files[place]} the labels {before.label!r} and {one.label!r}. "
                "Remove one of the two rows"
            )
    if others:
        path = next(iter(others))
        text = (
            f"{table} has decisions about {len(others)} other images with the paths of these, such "
            f"as {path!r}. Their content hashes (key) differ"
        )
        if not paired:
            raise LabelError(f"{text}. Pass the feature file whose images were labelled")
        warnings.warn(f"{text}, so they are left out", ClipfeatWarning, stacklevel=3)
    if decisions and not paired:
        remedy = how_to_pair(names[0], files) or "Write the paths like those of the images"
        example = f" like {files[0]!r}" if files else ""
        raise LabelError(
            f"no image of the features is in {table}. The paths of the images look{example}, but "
            f"those in the table look like {names[0]!r}. {remedy}"
        )
    return paired
