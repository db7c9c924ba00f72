"""Scores of an external detector, which clipfeat did not fit, as one more entry of a benchmark.

The scores are paired with images by the rule of `clipfeat.features.pairing`. If a score is outside
[0, 1], all scores are scaled to this range, which keeps their order. Scaled scores are not
probabilities, so metrics of probabilities are undefined for them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import DataError, UsageError
from clipfeat.evaluate.metrics import Probabilities
from clipfeat.evaluate.plan import Plan, Trial
from clipfeat.features import TEST, FeatureSet
from clipfeat.features.pairing import pair_names
from clipfeat.features.text_tables import not_a_table, text_rows
from clipfeat.features.usual_names import PATH_NAMES, usual_columns
from clipfeat.fits.cells import Cell
from clipfeat.system.files import read_regular

if TYPE_CHECKING:
    from clipfeat.evaluate.result import Benchmark

MAX_FIELDS = 2**23
"""Maximum number of fields of a file of scores."""
SCORE_NAMES = ("score", "scores", "probability", "prob", "p")


@dataclass(frozen=True, eq=False, repr=False)
class Scores:
    """Scores of a detector, for ``clf`` of `clipfeat.benchmark`.

    Parameters
    ----------
    name : str
        Name of the entry in tables.
    values : mapping of str to float
        Score of each image, by its path, its file name or its file name without the suffix. A
        higher score means that the image is more likely of the positive class.

    Raises
    ------
    DataError
        If there are no scores, or some are not finite.

    Examples
    --------
    >>> Scores("detector", {"a.png": 0.2, "b.png": 1.7})
    Scores('detector', 2 images)
    """

    name: str
    values: Mapping[str, float]

    def __post_init__(self) -> None:
        bad = [path for path, value in self.values.items() if not math.isfinite(value)]
        if bad:
            raise DataError(
                f"{len(bad)} of {len(self.values)} scores of {self.name} are not finite numbers. "
                f"The first of them is the score of {bad[0]}. Correct these scores"
            )
        if not self.values:
            raise DataError(f"{self.name} has no scores. Pass one score for each image")

    def __repr__(self) -> str:
        return f"Scores({self.name!r}, {len(self.values)} images)"

    @classmethod
    def read(cls, file: str | Path, name: str | None = None) -> "Scores":
        """Read a CSV or TSV file with a path and a score in each row.

        Parameters
        ----------
        file : path
            The file. Its header names the columns, for example ``path,score``. The column of paths
            may have the same names as in a table of images, and the column of scores the names in
            `SCORE_NAMES`. Other columns are ignored. Two columns with other names, or without a
            header, are read as paths and scores.
        name : str, optional
            Name of the entry. By default, the name of the file without its suffix.

        Raises
        ------
        DataError
            If the file does not have exactly one column of paths and one column of scores. If a
            score is not a finite number. If an image has two different scores.
        RefusedFileError
            If the file cannot be read as a table.
        """
        path = Path(file)
        try:
            content = read_regular(path)
        except OSError as error:
            raise not_a_table(str(file), error) from error
        rows = text_rows(content, str(file), MAX_FIELDS)
        start, at_path, at_score = _columns(rows, str(file))
        values: dict[str, float] = {}
        for number, row in enumerate(rows[start:], start + 1):
            try:
                image, value = row[at_path].strip(), float(row[at_score])
                if not math.isfinite(value):
                    raise ValueError
            except (IndexError, ValueError):
                raise DataError(
                    f"row {number} of {file} has no path and score: {','.join(row)[:80]!r}. "
                    "Write one path and one finite number in each row"
                ) from None
            if values.setdefault(image, value) != value:
                raise DataError(
                    f"{file} has two scores for {image}: {values[image]:g} and {value:g}. Keep one"
                )
        return cls(path.stem if name is None else name, values)

    def probabilities(self, plan: Plan, *, choosing: bool) -> tuple[Probabilities, bool]:
        """Return the scores of the rows of a plan.

        Parameters
        ----------
        plan : Plan
            Plan of a run with two classes.
        choosing : bool
            Whether the run chooses a decision threshold. A threshold is always chosen for scores
            outside [0, 1]. The choice needs scores of the training rows, or of the validation rows
            if there are any.

        Returns
        -------
        p : ndarray of shape (n_samples, 2)
            Scores of both classes. NaN in rows that need no score.
        scaled : bool
            Whether the scores were scaled to [0, 1]. Scaled scores are not probabilities.

        Raises
        ------
        DataError
            If a test row or a validation row has no score. If a threshold is chosen on training
            rows, and one of these rows has no score. If a name matches several images. If an image
            has two different scores.
        UsageError
            If there are not exactly two classes.
        """
        features = plan.features
        if len(features.classes) != 2:
            raise UsageError(
                f"scores of {self.name} need two classes, got {len(features.classes)}. Leave out "
                "--scores"
            )
        scaled = not (min(self.values.values()) >= 0 and max(self.values.values()) <= 1)
        needed = np.zeros(len(features), dtype=bool)
        for trial in plan.trials:
            for train, test in trial.splits.values():
                needed[test] = True
                if scaled or choosing:
                    needed[trial.choice_rows(train)] = True
                elif trial.validation is not None:
                    needed[trial.validation] = True
        score = self._of_rows(features, needed)
        missing = np.unique(features.files[needed & np.isnan(score)])
        if len(missing):
            n = len(np.unique(features.files[needed]))
            raise DataError(
                f"{len(missing)} of {n} images have no score of {self.name}, such as "
                f"{str(missing[0])!r}. The scores have names like "
                f"{str(next(iter(self.values)))!r}. Add the missing scores, or write the names "
                "like the paths of the images"
            )
        positive = _scaled(score) if scaled else score
        return np.column_stack([1 - positive, positive]), scaled

    def _of_rows(self, features: FeatureSet, needed: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the score of each row. NaN if the row needs no score or has none."""
        files, parts = _names(features.files, needed), _names(features.paths, needed)
        path_of = self._paired([str(name) for name in self.values], files)
        unpaired = [str(name) for name in self.values if name not in path_of]
        path_of |= self._paired(unpaired, parts[parts != files])
        scores = {path: self.values[name] for name, path in path_of.items()}
        rows = zip(files.tolist(), parts.tolist(), needed.tolist(), strict=True)
        return np.array(
            [
                scores.get(part, scores.get(file, math.nan)) if is_needed else math.nan
                for file, part, is_needed in rows
            ]
        )

    def _paired(self, names: Sequence[str], paths: NDArray[np.str_]) -> dict[str, str]:
        """Map names to the paths that they match. A name without a path is left out.

        Raises
        ------
        DataError
            If a name matches several paths. If two names of one path have different scores.
        """
        images = [path for path in dict.fromkeys(paths.tolist()) if path]
        pairs = pair_names(names, images, f"the scores of {self.name}")
        path_of: dict[str, str] = {}
        first: dict[str, str] = {}
        for name, index in zip(names, pairs, strict=True):
            if index is None:
                continue
            path_of[name] = path = images[index]
            one, other = self.values[first.setdefault(path, name)], self.values[name]
            if one != other:
                raise DataError(
                    f"{self.name} has two scores for {path!r}: {one:g} in the row {first[path]!r} "
                    f"and {other:g} in the row {name!r}. Keep one"
                )
        return path_of


def _names(paths: NDArray[np.str_], needed: NDArray[np.bool_]) -> NDArray[np.str_]:
    """Return the path that is used to look up the score of each row.

    If a training row has the same path as a test row, the path of the test row starts with `TEST`.
    If no training row of this path needs a score, the test row is looked up without this prefix,
    and the training row gets an empty path.
    """
    plain = np.array([path.removeprefix(TEST) for path in paths.tolist()], dtype=np.str_)
    renamed = needed & (plain != paths) & ~np.isin(plain, paths[needed])
    renamed &= np.isin(plain, paths[~needed])
    unused = ~needed & np.isin(paths, plain[renamed])
    named: NDArray[np.str_] = np.where(renamed, plain, np.where(unused, "", paths))
    return named


def split_entries(clf: "str | Sequence[str | Scores]") -> tuple[str | list[str], list[Scores]]:
    """Separate names of classifiers from scores.

    Raises
    ------
    UsageError
        If two scores have the same name.
    """
    if isinstance(clf, str):
        return clf, []
    scores = [one for one in clf if isinstance(one, Scores)]
    names = [one.name for one in scores]
    if len(set(names)) < len(names):
        raise UsageError(
            f"two files of scores have the same name (names: {', '.join(names)}). Pass another "
            "name with --scores NAME=FILE"
        )
    return [one for one in clf if isinstance(one, str)], scores


@dataclass(frozen=True, eq=False)
class ScoredEntries:
    """Scores of the rows of a plan, by entry.

    Parameters
    ----------
    p : mapping of str to ndarray of shape (n_samples, 2)
        Scores of each entry.
    scaled : frozenset of str
        Entries whose scores were scaled to [0, 1].
    """

    p: Mapping[str, Probabilities]
    scaled: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, scores: Sequence[Scores], plan: Plan, taken: Sequence[str], *, choosing: bool
    ) -> "ScoredEntries":
        """Match scores to the rows of a plan.

        Raises
        ------
        UsageError
            If an entry is named like a classifier or a vote.
        """
        clash = [one.name for one in scores if one.name in taken]
        if clash:
            raise UsageError(
                f"the scores cannot be named {clash[0]!r}, which is the name of a classifier or a "
                "vote. Pass another name with --scores NAME=FILE"
            )
        matched = {one.name: one.probabilities(plan, choosing=choosing) for one in scores}
        scaled = frozenset(name for name, (_, is_scaled) in matched.items() if is_scaled)
        return cls({name: p for name, (p, _) in matched.items()}, scaled)

    def cells(self, trial: Trial) -> dict[str, list[Cell]]:
        """Return the cells of a trial. They have no costs, because nothing is fitted."""
        return {
            name: [
                Cell(p[test], p[trial.choice_rows(train)], {})
                for train, test in trial.splits.values()
            ]
            for name, p in self.p.items()
        }

    def record(self) -> dict[str, Any]:
        """Return the facts about the scores that a run records, by entry."""
        return {name: {"scaled": name in self.scaled} for name in self.p}


def no_probabilities(run: "Benchmark") -> set[str]:
    """Return the entries of a run whose scores are not probabilities."""
    return {entry for entry, of in run.about.get("scores", {}).items() if of["scaled"]}


def score_remarks(about: Mapping[str, Any]) -> list[str]:
    """Write the remarks on the scores of a run."""
    scores = about.get("scores", {})
    if not scores:
        return []
    lines = [
        f"{', '.join(scores)}: scores from a file. They were not fitted here, and it is not known "
        "whether the detector was trained on these images."
    ]
    scaled = [name for name, of in scores.items() if of["scaled"]]
    if scaled:
        lines.append(
            f"{', '.join(scaled)}: the scores are not in [0, 1], so they are scaled to this range. "
            "Log loss, Brier score and calibration error are undefined. The threshold is chosen by "
            f"{about.get('threshold_by') or 'balanced_accuracy'} on the training images of each "
            "fold, or on val."
        )
    return lines


def _columns(rows: Sequence[Sequence[str]], file: str) -> tuple[int, int, int]:
    """Return the number of header rows, and the columns of paths and scores."""
    if not rows:
        raise DataError(f"{file} is empty. Write one path and one score in each row")
    head = [cell.strip() for cell in rows[0]]
    candidates = [usual_columns(head, names) for names in (PATH_NAMES, SCORE_NAMES)]
    if all(candidates):
        if doubled := next((names for names in candidates if len(names) > 1), None):
            raise DataError(
                f"{file} has several columns for the same value: {', '.join(doubled)}. Rename all "
                "but one of them"
            )
        return 1, head.index(candidates[0][0]), head.index(candidates[1][0])
    if len(head) == 2:
        try:
            float(head[1])
        except ValueError:
            return 1, 0, 1
        return 0, 0, 1
    raise DataError(
        f"{file} has no columns of paths and scores (columns: {', '.join(rows[0][:8])}). Name them "
        "path and score"
    )


def _scaled(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale scores to [0, 1] without changing their order.

    The scale is linear. If rounding would create ties, ranks are used instead.
    """
    values, place = np.unique(score, return_inverse=True)
    known = values[~np.isnan(values)]
    span = known[-1] - known[0]
    with np.errstate(over="ignore", invalid="ignore"):
        linear = (known - known[0]) / span if span else np.full(len(known), 0.5)
    if not (np.isfinite(linear).all() and (np.diff(linear) > 0).all()):
        linear = np.arange(len(known)) / max(len(known) - 1, 1)
    full = np.append(linear, np.full(len(values) - len(known), np.nan))
    scaled: NDArray[np.float64] = full[place]
    return scaled
